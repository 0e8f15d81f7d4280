"""What a job has for whoever asks, and what a test that does not ask need not wait for."""

from __future__ import annotations


def test_a_room_is_as_it_always_was_once_somebody_looks(desk):
    result = desk(
        {
            "test_room.py": """
            from datetime import UTC, datetime
            from livekit import rtc
            from pytest_lkagent.fake.room import FakeRoom, UnseenRoom

            kept = []
            heard = []

            async def test_a_conversation_is_no_look(job_context, user_says, fake_llm):
                fake_llm.script(call("book", slot="2pm"), say("Booked."))
                await user_says("2 pm")
                room = job_context.room
                assert isinstance(room, rtc.Room)
                assert (room.name, room.isconnected()) == ("fake-room", True)
                assert type(room) is UnseenRoom
                assert list(room.remote_participants) == ["caller"]
                assert type(room) is FakeRoom
                assert (room.name, room.isconnected()) == ("fake-room", True)
                assert room.local_participant.identity == "fake-agent"
                assert (await room.sid, room.num_participants, room.sent) == ("RM_fake", 2, [])
                with pytest.raises(AttributeError, match="no attribute 'windows'"):
                    room.windows

            def test_a_look_needs_no_running_loop(job_context):
                with pytest.raises(AttributeError, match="no attribute 'windows'"):
                    job_context.room.windows
                assert list(job_context.room.remote_participants) == ["caller"]

            async def test_all_were_there_when_the_job_began(job_context):
                began = datetime.now(UTC)
                await asyncio.sleep(30)
                room = job_context.room
                assert room.remote_participants["caller"].joined_at == began
                assert (room.local_participant.joined_at, room.creation_time) == (began, began)
                assert room.add_participant("late").joined_at == datetime.now(UTC)

            async def test_nobody_looks(job_context):
                kept.append(job_context.room)

            def test_it_was_left_all_the_same():
                [room] = kept
                assert (type(room), room.isconnected()) == (UnseenRoom, False)
                left = room.local_participant
                assert left.disconnect_reason == rtc.DisconnectReason.CLIENT_INITIATED
                assert not room.isconnected()

            async def test_somebody_listens(job_context):
                job_context.room.on("disconnected", lambda reason: heard.append(reason))

            def test_and_heard_of_the_end():
                assert heard == [rtc.DisconnectReason.CLIENT_INITIATED]
            """
        }
    ).run()
    result.outcomes(passed=7)


def test_a_room_with_other_people_than_usual_is_made_at_once(desk):
    result = desk(
        {
            "test_people.py": """
            def people(room):
                return [*room.remote_participants, room.local_participant.identity]

            @pytest.mark.lk(job={"participant": {"identity": "phone"}})
            async def test_the_caller(job_context):
                assert people(job_context.room) == ["phone", "fake-agent"]

            @pytest.mark.lk(job={"participant": None})
            async def test_nobody(job_context):
                assert people(job_context.room) == ["fake-agent"]

            @pytest.mark.lk(job={"agent_identity": "desk", "room": "lobby"})
            async def test_the_agent(job_context):
                assert people(job_context.room) == ["caller", "desk"]
                assert job_context.room.name == "lobby"

            @pytest.mark.lk(job={"room": "lobby"})
            async def test_the_name(job_context):
                assert job_context.room.name == "lobby"
                assert people(job_context.room) == ["caller", "fake-agent"]
                assert job_context.room.name == "lobby"

            @pytest.mark.lk(job={"agent_identity": "caller"})
            async def test_two_of_a_name(user_says):
                await user_says("hi")
            """
        }
    ).run()
    result.outcomes(passed=4, errors=1)
    result.shows("'caller' is in the room already: give another identity")


def test_the_folder_of_a_job_is_made_for_who_asks_and_taken_away(desk):
    result = desk(
        {
            "test_folder.py": """
            import tempfile

            made = []

            @pytest.fixture(autouse=True)
            def folders(monkeypatch):
                make = tempfile.mkdtemp
                monkeypatch.setattr(
                    tempfile, "mkdtemp", lambda *how, **named: made.append(make(*how)) or made[-1]
                )

            async def test_nobody_asks(job_context, user_says, fake_llm):
                fake_llm.script(say("Hello."))
                await user_says("hi")
                assert made == []

            async def test_somebody_asks(job_context):
                folder = job_context.session_directory
                (folder / "notes.txt").write_text("She likes Oxfords.")
                assert job_context.session_directory == folder
                assert made == [str(folder)]

            def test_it_is_gone(folders):
                [folder] = made
                assert not os.path.exists(folder)
            """
        }
    ).run()
    result.outcomes(passed=3)
