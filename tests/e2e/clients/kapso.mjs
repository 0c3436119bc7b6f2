// @kapso/whatsapp-cloud-api takes a base URL.

import { WhatsAppClient } from "@kapso/whatsapp-cloud-api";
import { normalizeWebhook, verifySignature } from "@kapso/whatsapp-cloud-api/server";

import { bytesOf, heard, serve } from "./lines.mjs";

const { BASE_URL, TOKEN, APP_SECRET, VERIFY_TOKEN, PHONE_NUMBER_ID, WABA_ID } = process.env;

const client = new WhatsAppClient({ accessToken: TOKEN, baseUrl: BASE_URL });
const { messages, media, templates, phoneNumbers } = client;
const phoneNumberId = PHONE_NUMBER_ID;

const link = (name) => `https://files.example/${name}`;
const bodyText = "What do you say?";

const kinds = {
    text: (to) => messages.sendText({ ...to, body: "Hello from kapso", previewUrl: true }),
    image: (to, { media: id }) => messages.sendImage({ ...to, image: { id, caption: "a picture" } }),
    image_link: (to) => messages.sendImage({ ...to, image: { link: link("a.jpg") } }),
    video: (to) => messages.sendVideo({ ...to, video: { link: link("a.mp4"), caption: "a film" } }),
    audio: (to) => messages.sendAudio({ ...to, audio: { link: link("a.ogg") } }),
    document: (to) => messages.sendDocument({ ...to, document: { link: link("a.pdf"), filename: "a.pdf", caption: "a paper" } }),
    sticker: (to) => messages.sendSticker({ ...to, sticker: { link: link("a.webp") } }),
    location: (to) => messages.sendLocation({ ...to, location: { latitude: -13.52, longitude: -71.97, name: "Plaza", address: "Cusco" } }),
    contacts: (to) =>
        messages.sendContacts({
            ...to,
            contacts: [{ name: { formattedName: "Ada Lovelace", firstName: "Ada" }, phones: [{ phone: "+15551234567", type: "WORK" }] }],
        }),
    reaction: (to, { wamid }) => messages.sendReaction({ ...to, reaction: { messageId: wamid, emoji: "👍" } }),
    buttons: (to) =>
        messages.sendInteractiveButtons({
            ...to,
            header: { type: "text", text: "A question" },
            bodyText,
            buttons: [
                { id: "y", title: "Yes" },
                { id: "n", title: "No" },
            ],
        }),
    list: (to) =>
        messages.sendInteractiveList({
            ...to,
            bodyText,
            buttonText: "Choose",
            sections: [{ title: "Coffee", rows: [{ id: "flat", title: "Flat white", description: "with milk" }] }],
        }),
    cta: (to) => messages.sendInteractiveCtaUrl({ ...to, bodyText, parameters: { displayText: "See more", url: "https://example.org/more" } }),
    flow: (to) =>
        messages.sendInteractiveFlow({
            ...to,
            bodyText,
            parameters: {
                flowId: "1234567",
                flowCta: "Open",
                flowToken: "token",
                flowAction: "navigate",
                flowActionPayload: { screen: "WELCOME" },
            },
        }),
    location_request: (to) => messages.sendInteractiveLocationRequest({ ...to, bodyText, parameters: { requestMessage: bodyText } }),
    catalog: (to) => messages.sendInteractiveCatalogMessage({ ...to, bodyText, parameters: { thumbnailProductRetailerId: "SKU-1" } }),
    carousel: (to) =>
        messages.sendInteractiveCarousel({
            ...to,
            bodyText,
            cards: [0, 1].map((cardIndex) => ({
                cardIndex,
                header: { type: "image", image: { link: link(`${cardIndex}.jpg`) } },
                bodyText: `Card ${cardIndex}`,
                action: { type: "cta_url", displayText: "View", url: `https://example.org/${cardIndex}` },
            })),
        }),
    template: (to, { template }) =>
        messages.sendTemplate({
            ...to,
            template: {
                name: template,
                language: { code: "en_US" },
                components: [
                    {
                        type: "body",
                        parameters: [
                            { type: "text", text: "Ada" },
                            { type: "text", text: "77" },
                        ],
                    },
                ],
            },
        }),
};

serve(
    {
        send: ({ kind, to, opaque, context, ...args }) =>
            kinds[kind](
                { phoneNumberId, to, ...(opaque && { bizOpaqueCallbackData: opaque }), ...(context && { contextMessageId: context }) },
                args,
            ),
        kinds: () => Object.keys(kinds),
        read: ({ wamid, typing }) =>
            messages.markRead({ phoneNumberId, messageId: wamid, ...(typing && { typingIndicator: { type: "text" } }) }),
        upload: ({ base64, type, file_name }) =>
            media.upload({ phoneNumberId, type, file: new Blob([Buffer.from(base64, "base64")], { type }), fileName: file_name }),
        retrieve: ({ id }) => media.get({ mediaId: id, phoneNumberId }),
        download: async ({ id }) => Buffer.from(await media.download({ mediaId: id, phoneNumberId })).toString("base64"),
        remove: ({ id }) => media.delete({ mediaId: id, phoneNumberId }),
        templates: () => templates.list({ businessAccountId: WABA_ID, limit: 1 }),
        profile: () => phoneNumbers.businessProfile.get({ phoneNumberId }),
    },
    async (request, response) => {
        const raw = await bytesOf(request);
        const url = new URL(request.url, "http://127.0.0.1");
        if (request.method === "GET") {
            const isKnown = url.searchParams.get("hub.verify_token") === VERIFY_TOKEN;
            response.statusCode = isKnown ? 200 : 403;
            response.end(isKnown ? url.searchParams.get("hub.challenge") : "");
            return;
        }
        const signatureHeader = request.headers["x-hub-signature-256"];
        if (!verifySignature({ appSecret: APP_SECRET, rawBody: raw, signatureHeader })) {
            response.statusCode = 401;
            response.end();
            return;
        }
        const { phoneNumberId: phone_number_id, contacts, messages: found, statuses } = normalizeWebhook(JSON.parse(raw.toString()));
        for (const message of found) {
            heard({ kind: "message", from: message.from, name: contacts[0]?.profile?.name, phone_number_id, message });
        }
        for (const { id, status, recipientId, timestamp, errors, bizOpaqueCallbackData } of statuses) {
            heard({ kind: "status", id, status, phone: recipientId, timestamp, error: errors?.[0], opaque: bizOpaqueCallbackData, phone_number_id });
        }
        response.end();
    },
);
