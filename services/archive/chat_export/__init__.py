"""The reader of WhatsApp's exported chats: bytes in, records out; no clock, no file, no network.

    survey(chunks)            → Survey: what the file is, decided from all of it; or raises NotAnExport
    Reader(survey, options)   → feed(block) → records, finish() → the last ones; state() to go on later

WhatsApp publishes no specification. What is known comes from public parsers, their fixtures and their issue trackers.
"""
