r"""Live sound from Python: `Session` processes one source with the engine; `Supervisor` runs many in threads.

::

    session = Session("mic", open_source("mic"), make_settings("room"))
    supervisor = Supervisor([session], lambda session, envelopes, progress: print(*envelopes, sep="\n"))
    asyncio.run(supervisor.run())

`examples/serve_microphone.py` serves a session to WebSocket clients and a page. Warnings are logged to
`streamseg.live`; nothing is printed.
"""

from streamseg.live.feedback_store import FeedbackStore
from streamseg.live.jingles import teach_jingle
from streamseg.live.name_store import NameStore
from streamseg.live.session import Session
from streamseg.live.store_files import default_history_path, open_feedback_store, open_name_store
from streamseg.live.supervisor import Supervisor
from streamseg.live.warm_up import compile_kernels

__all__ = [
    "FeedbackStore",
    "NameStore",
    "Session",
    "Supervisor",
    "compile_kernels",
    "default_history_path",
    "open_feedback_store",
    "open_name_store",
    "teach_jingle",
]
