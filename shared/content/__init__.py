"""What messages say: every outbound type of the Cloud API, checked before it is accepted. `parse` is the way in."""

from shared.content.document import BEYOND_TEXT, TYPES, ContentType, Parts, content_of, unfilled_faults
from shared.content.parse import parse
from shared.content.part import LONGEST_TEXT
from shared.content.references import MediaPlace, media_places, message_place

__all__ = [
    "BEYOND_TEXT",
    "LONGEST_TEXT",
    "TYPES",
    "ContentType",
    "MediaPlace",
    "Parts",
    "content_of",
    "media_places",
    "message_place",
    "parse",
    "unfilled_faults",
]
