import logging
from logging.handlers import SysLogHandler

log = logging.getLogger(__name__)
log.addHandler(SysLogHandler(("logs.internal", 514)))  # expect: US113 loop


def load(item: str) -> object:
    log.info("loaded")
    return item
