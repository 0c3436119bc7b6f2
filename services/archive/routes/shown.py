"""What is read, as payloads."""

from __future__ import annotations

from collections.abc import Sequence

from services.archive.domain.annotation import Annotation
from services.archive.domain.reading import (
    FIRST_SAID,
    GROUP_PREFIX,
    ArchivedEntry,
    Conversation,
    FilesOfMonth,
    Kind,
    Speaker,
    Version,
)
from services.archive.payloads.reading import (
    AnnotationPayload,
    AuthorPayload,
    Contact,
    ConversationPayload,
    EntityPayload,
    EntryBookmark,
    EntryError,
    EntryMedia,
    EntryPayload,
    LastEntry,
    MediaMonthPayload,
    ParticipantPayload,
    ReactionPayload,
    VersionPayload,
)


def conversation_shown(row: Conversation) -> ConversationPayload:
    kind = row.kind
    return ConversationPayload(
        id=row.id,
        kind=kind,
        number_id=row.number_id or None,
        title=row.title,
        contact=Contact(phone=row.contact_phone, name=row.contact_name) if kind is Kind.CONTACT else None,
        group_id=row.contact_phone.removeprefix(GROUP_PREFIX) if kind is Kind.GROUP else None,
        entry_count=row.entry_count,
        unread_count=row.unread_count,
        read_until=row.read_until,
        last_entry=LastEntry(
            id=row.last_entry_id,
            direction=row.last_direction,
            type=row.last_type,
            preview=row.last_preview,
            sent_at=row.last_entry_at,
        ),
    )


def entry_shown(row: ArchivedEntry) -> EntryPayload:
    return EntryPayload(
        id=row.id,
        conversation_id=row.conversation_id,
        direction=row.direction,
        type=row.type,
        content=row.content,
        sent_at=row.sent_at,
        message_id=row.message_id,
        provider_id=row.wamid,
        author=AuthorPayload(id=row.author.id, name=row.author.name, address=row.author.address) if row.author else None,
        status=row.status,
        status_at=row.status_at,
        error=EntryError(code=row.error_code) if row.error_code else None,
        edited_at=row.edited_at,
        revoked_at=row.revoked_at,
        media=EntryMedia.model_validate(row.media) if row.media else None,
        reactions=[ReactionPayload(emoji=one.emoji, address=one.address, at=one.at) for one in row.reactions] or None,
        annotation=_annotation_shown(row.annotation) if row.annotation else None,
        bookmark=None if row.bookmark is None else EntryBookmark(note=row.bookmark),
        labels=list(row.labels) or None,
    )


def _annotation_shown(said: Annotation) -> AnnotationPayload:
    entities = [EntityPayload.model_validate(entity._asdict()) for entity in said.entities]
    return AnnotationPayload(language=said.language, sentiment=said.sentiment, entities=entities or None)


def version_shown(version: Version, entry: ArchivedEntry) -> VersionPayload:
    return VersionPayload(said_at=entry.sent_at if version.since == FIRST_SAID else version.since, content=version.content)


def participant_shown(speaker: Speaker) -> ParticipantPayload:
    return ParticipantPayload(
        id=speaker.id,
        name=speaker.name,
        address=speaker.address,
        is_business=speaker.is_business,
        entry_count=speaker.entries,
        first_at=speaker.first_at,
        last_at=speaker.last_at,
    )


def months_shown(rows: Sequence[FilesOfMonth]) -> list[MediaMonthPayload]:
    months: dict[str, dict[str, int]] = {}
    for row in rows:
        months.setdefault(row.month, {})[row.kind] = row.files
    return [MediaMonthPayload(month=month, kinds=kinds) for month, kinds in months.items()]
