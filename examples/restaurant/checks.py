"""What holds of an order, whatever was said before."""


def adds_up(userdata):
    assert userdata.total >= 0
    assert userdata.dishes or not userdata.paid
