"""What the scenario file asks of the desk once the conversation is over."""


def nothing_is_booked(userdata):
    assert userdata.calendar.visits == {}


async def one_visit_is_booked(userdata, agent_session):
    assert len(userdata.calendar.visits) == 1
    assert agent_session.userdata is userdata
