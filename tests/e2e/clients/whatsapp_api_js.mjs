// whatsapp-api-js has no base URL: its users hand it a `fetch` that knows the way.

import { WhatsAppAPI } from "whatsapp-api-js/middleware/node-http";
import * as m from "whatsapp-api-js/messages";

import { heard, serve } from "./lines.mjs";

const { BASE_URL, TOKEN, APP_SECRET, VERIFY_TOKEN, PHONE_NUMBER_ID } = process.env;

const client = new WhatsAppAPI({
    token: TOKEN,
    appSecret: APP_SECRET,
    webhookVerifyToken: VERIFY_TOKEN,
    ponyfill: {
        fetch: (url, options) => fetch(String(url).replace("https://graph.facebook.com", BASE_URL), options),
        subtle: crypto.subtle,
    },
});

client.on.message = ({ from, message, name, phoneID }) => {
    heard({ kind: "message", from, name, phone_number_id: phoneID, message });
};
client.on.status = ({ id, status, phone, timestamp, error, biz_opaque_callback_data, phoneID }) => {
    heard({ kind: "status", id, status, phone, timestamp, error, opaque: biz_opaque_callback_data, phone_number_id: phoneID });
};

const link = (name) => `https://files.example/${name}`;
const body = new m.Body("What do you say?");
const section = new m.ListSection("Coffee", new m.Row("flat", "Flat white", "with milk"), new m.Row("long", "Long black"));

const kinds = {
    text: () => new m.Text("Hello from whatsapp-api-js", true),
    image: ({ media }) => new m.Image(media, true, "a picture"),
    image_link: () => new m.Image(link("a.jpg")),
    video: () => new m.Video(link("a.mp4"), false, "a film"),
    audio: () => new m.Audio(link("a.ogg")),
    document: () => new m.Document(link("a.pdf"), false, "a paper", "a.pdf"),
    sticker: () => new m.Sticker(link("a.webp")),
    location: () => new m.Location(-71.97, -13.52, "Plaza de Armas", "Cusco"),
    contacts: () =>
        new m.Contacts([
            new m.Name("Ada Lovelace", "Ada", "Lovelace"),
            new m.Phone("+15551234567", "WORK", "15551234567"),
            new m.Email("ada@example.org", "WORK"),
            new m.Organization("Analytical Engines", "Research", "Countess"),
            new m.Birthday("1815", "12", "10"),
        ]),
    reaction: ({ wamid }) => new m.Reaction(wamid, "👍"),
    buttons: () => new m.Interactive(new m.ActionButtons(new m.Button("y", "Yes"), new m.Button("n", "No")), body, new m.Header("A question")),
    list: () => new m.Interactive(new m.ActionList("Choose", section), body, undefined, new m.Footer("a footer")),
    cta: () => new m.Interactive(new m.ActionCTA("See more", "https://example.org/more"), body),
    flow: () => new m.Interactive(new m.ActionNavigateFlow("token", "1234567", "Open", "WELCOME", { a: "b" }), body),
    location_request: () => new m.Interactive(new m.ActionLocation(), body),
    contact_request: () => new m.Interactive(new m.ActionContactRequest(), body),
    catalog: () => new m.Interactive(new m.ActionCatalog(new m.Product("SKU-1")), body),
    product: () => new m.Interactive(new m.ActionProduct(new m.CatalogProduct("SKU-1", "123456")), body),
    product_list: () =>
        new m.Interactive(
            new m.ActionProductList("123456", new m.ProductSection("Cups", new m.Product("SKU-1"), new m.Product("SKU-2"))),
            body,
            new m.Header("Our cups"),
        ),
    template: ({ template }) =>
        new m.Template(template, new m.Language("en_US"), new m.BodyComponent(new m.BodyParameter("Ada"), new m.BodyParameter("77"))),
};

serve(
    {
        send: async ({ kind, to, context, opaque, ...args }) => {
            const answer = await client.sendMessage(PHONE_NUMBER_ID, to, kinds[kind](args), context, opaque);
            if ("error" in answer) throw Object.assign(new Error(answer.error.message), { code: answer.error.code }); // it raises nothing
            return answer;
        },
        kinds: () => Object.keys(kinds),
        read: ({ wamid, typing }) => client.markAsRead(PHONE_NUMBER_ID, wamid, typing ? "text" : undefined),
        upload: ({ base64, type, file_name }) => {
            const form = new FormData();
            form.set("file", new Blob([Buffer.from(base64, "base64")], { type }), file_name);
            return client.uploadMedia(PHONE_NUMBER_ID, form);
        },
        retrieve: ({ id }) => client.retrieveMedia(id),
        download: async ({ url }) => Buffer.from(await (await client.fetchMedia(url)).arrayBuffer()).toString("base64"),
        remove: ({ id }) => client.deleteMedia(id),
    },
    async (request, response) => {
        if (request.method === "GET") {
            try {
                response.end(client.handle_get(request));
            } catch (status) {
                response.statusCode = status;
                response.end();
            }
            return;
        }
        response.statusCode = await client.handle_post(request);
        response.end();
    },
);
