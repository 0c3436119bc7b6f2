"""The Python clients. They block, so each call has a thread; their callbacks come to a web server of the test's, which hands the
bytes on as their documentation says."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import heyoo
import httpx
import pywa
from aiohttp import web
from pywa.errors import WhatsAppError
from pywa.types import (
    Button,
    Contact,
    ContactInfoRequestButton,
    FlowActionType,
    FlowButton,
    ImageCarouselCard,
    ProductsSection,
    Section,
    SectionList,
    SectionRow,
    URLButton,
)
from pywa.types.templates import BodyText, TemplateLanguage

from tests.e2e.clients.client import Failed, Heard, Place

LINK: Final = "https://files.example/"
BODY: Final = "What do you say?"
Answer = tuple[str, int]


class PywaClient:
    """pywa has no base URL among its options: the one of the session that it is given is set after it has set its own."""

    def __init__(self, place: Place) -> None:
        self.heard = Heard()
        self.hook = ""
        self._session = httpx.Client(trust_env=False, timeout=20)
        self._client = pywa.WhatsApp(
            place.phone_number_id,
            place.token,
            session=self._session,
            waba_id=place.waba_id,
            app_secret=place.app_secret,
            verify_token=place.verify_token,
            api_version="23.0",
        )
        self._session.base_url = f"{place.base_url}/v23.0"
        for listen in (self._client.on_message, self._client.on_callback_button, self._client.on_callback_selection):
            listen()(self._on_message)
        self._client.on_message_status()(self._on_status)

    def close(self) -> None:
        self._session.close()

    def verify(self, query: Mapping[str, str]) -> Answer:
        challenge, status = self._client.webhook_challenge_handler(query["hub.verify_token"], query["hub.challenge"])
        return challenge or "", status

    def take(self, body: bytes, signature: str | None) -> Answer:
        return self._client.webhook_update_validator(body, signature) or self._client.webhook_update_handler(body)

    def _on_message(self, _: pywa.WhatsApp, message: pywa.types.Message) -> None:
        raw = message.raw["entry"][0]["changes"][0]["value"]["messages"][0]
        self.heard.all.append({"kind": "message", "from": raw.get("from"), "name": message.from_user.name, "message": raw})

    def _on_status(self, _: pywa.WhatsApp, status: pywa.types.MessageStatus) -> None:
        code = status.error.code if status.error else None
        self.heard.all.append(
            {"kind": "status", "id": status.id, "status": str(status.status), "opaque": status.tracker, "error": {"code": code}}
        )

    async def call(self, name: str, **args: Any) -> Any:
        return await asyncio.to_thread(self._call, name, args)

    def _call(self, name: str, args: dict[str, Any]) -> Any:
        try:
            return self._calls()[name](args)
        except WhatsAppError as error:
            raise Failed(str(error), error.code) from error

    def _calls(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        client = self._client

        def profile() -> Any:
            found = client.get_business_profile()
            return {"data": [{"about": found.about, "vertical": str(found.industry)}]}

        def upload(args: dict[str, Any]) -> str:
            return client.upload_media(base64.b64decode(args["base64"]), args["type"], args["file_name"]).id

        def numbers(users: Iterable[pywa.types.User]) -> list[str | None]:
            return [user.wa_id for user in users]

        return {
            "kinds": lambda _: list(self._kinds()),
            "send": lambda a: {"messages": [{"id": self._kinds()[a.pop("kind")](a).id}]},
            "read": lambda a: {
                "success": bool((client.indicate_typing if a.get("typing") else client.mark_message_as_read)(a["wamid"]))
            },
            "upload": lambda a: {"id": upload(a)},
            "retrieve": lambda a: {"url": client.get_media_url(a["id"]).url},
            "download": lambda a: base64.b64encode(client.get_media_bytes(a["url"])).decode(),
            "remove": lambda a: {"success": bool(client.delete_media(a["id"]))},
            "templates": lambda _: {"data": [{"name": one.name} for one in client.get_templates()]},
            "profile": lambda _: profile(),
            "number": lambda _: {"id": client.get_business_phone_number().id},
            "numbers": lambda _: [{"id": one.id} for one in client.get_business_phone_numbers()],
            "account": lambda _: {"id": client.get_business_account().id},
            "block": lambda a: numbers(client.block_users([a["user"]]).added_users),
            "unblock": lambda a: numbers(client.unblock_users([a["user"]]).removed_users),
            "blocked": lambda _: numbers(client.get_blocked_users()),
        }

    def _kinds(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        client = self._client

        def given(args: dict[str, Any]) -> dict[str, Any]:
            options = {"to": args["to"], "tracker": args.get("opaque")}
            return options | ({"reply_to_message_id": args["context"]} if "context" in args else {})

        contact = Contact(
            name=Contact.Name(formatted_name="Ada Lovelace", first_name="Ada"),
            phones=[Contact.Phone(phone="+15551234567", type="WORK", wa_id="15551234567")],
            org=Contact.Org(company="Analytical Engines"),
        )
        flow = FlowButton(
            title="Open",
            flow_id="1234567",
            flow_token="token",
            flow_action_type=FlowActionType.NAVIGATE,
            flow_action_screen="WELCOME",
        )
        rows = SectionList("Choose", [Section("Coffee", [SectionRow("Flat white", "flat", "with milk")])])
        cards = [
            ImageCarouselCard(body=f"Card {n}", image=f"{LINK}{n}.jpg", buttons=URLButton("View", f"https://example.org/{n}"))
            for n in range(2)
        ]
        return {
            "text": lambda a: client.send_message(text="Hello from pywa", preview_url=True, **given(a)),
            "image": lambda a: client.send_image(image=a["media"], caption="a picture", **given(a)),
            "image_link": lambda a: client.send_image(image=f"{LINK}a.jpg", **given(a)),
            "video": lambda a: client.send_video(video=f"{LINK}a.mp4", caption="a film", **given(a)),
            "audio": lambda a: client.send_audio(audio=f"{LINK}a.ogg", **given(a)),
            "voice": lambda a: client.send_voice(voice=f"{LINK}a.ogg", **given(a)),
            "document": lambda a: client.send_document(
                document=f"{LINK}a.pdf", filename="a.pdf", caption="a paper", **given(a)
            ),
            "sticker": lambda a: client.send_sticker(sticker=f"{LINK}a.webp", **given(a)),
            "location": lambda a: client.send_location(
                latitude=-13.52, longitude=-71.97, name="Plaza", address="Cusco", **given(a)
            ),
            "contacts": lambda a: client.send_contact(contact=contact, **given(a)),
            "reaction": lambda a: client.send_reaction(to=a["to"], emoji="👍", message_id=a["wamid"], tracker=a.get("opaque")),
            "unreaction": lambda a: client.remove_reaction(to=a["to"], message_id=a["wamid"], tracker=a.get("opaque")),
            "buttons": lambda a: client.send_message(
                text=BODY, header="A question", buttons=[Button("Yes", "y"), Button("No", "n")], **given(a)
            ),
            "list": lambda a: client.send_message(text=BODY, footer="a footer", buttons=rows, **given(a)),
            "cta": lambda a: client.send_message(
                text=BODY, buttons=URLButton("See more", "https://example.org/more"), **given(a)
            ),
            "flow": lambda a: client.send_message(text=BODY, buttons=flow, **given(a)),
            "contact_request": lambda a: client.send_message(text=BODY, buttons=ContactInfoRequestButton(), **given(a)),
            "location_request": lambda a: client.request_location(text=BODY, **given(a)),
            "catalog": lambda a: client.send_catalog(body=BODY, thumbnail_product_sku="SKU-1", **given(a)),
            "product": lambda a: client.send_product(catalog_id="123456", sku="SKU-1", body=BODY, **given(a)),
            "product_list": lambda a: client.send_products(
                catalog_id="123456",
                product_sections=[ProductsSection("Cups", ["SKU-1", "SKU-2"])],
                title="Our cups",
                body=BODY,
                **given(a),
            ),
            "carousel": lambda a: client.send_carousel(body=BODY, cards=list(cards), **given(a)),
            "template": lambda a: client.send_template(
                name=a["template"], language=TemplateLanguage.ENGLISH_US, params=[BodyText.params("Ada", "77")], **given(a)
            ),
        }


class HeyooClient:
    """heyoo keeps its URLs in attributes, and reads callbacks from their parsed JSON; it knows no signature."""

    def __init__(self, place: Place) -> None:
        self.heard = Heard()
        self.hook = ""
        self._place = place
        self._client = client = heyoo.WhatsApp(place.token, place.phone_number_id)
        client.base_url, client.v15_base_url = f"{place.base_url}/v14.0", f"{place.base_url}/v15.0"
        client.url = f"{client.base_url}/{place.phone_number_id}/messages"

    def close(self) -> None:
        """Nothing stays open."""

    def verify(self, query: Mapping[str, str]) -> Answer:
        is_known = query["hub.verify_token"] == self._place.verify_token
        return (query["hub.challenge"], 200) if is_known else ("", 403)

    def take(self, body: bytes, signature: str | None) -> Answer:  # noqa: ARG002  # it knows none
        client, data = self._client, json.loads(body)
        if client.changed_field(data) != "messages":
            return "", 200
        if client.is_message(data):
            found = client.preprocess(data)["messages"][0]
            self.heard.all.append(
                {"kind": "message", "from": client.get_mobile(data), "name": client.get_name(data), "message": found}
            )
        elif (status := client.get_delivery(data)) is not None:
            found = client.preprocess(data)["statuses"][0]
            error = next(iter(found.get("errors", ())), None)
            opaque = found.get("biz_opaque_callback_data")
            self.heard.all.append({"kind": "status", "id": found["id"], "status": status, "opaque": opaque, "error": error})
        return "", 200

    async def call(self, name: str, **args: Any) -> Any:
        return await asyncio.to_thread(self._call, name, args)

    def _call(self, name: str, args: dict[str, Any]) -> Any:
        client = self._client
        match name:
            case "kinds":
                return list(self._kinds())
            case "send":
                answer = self._kinds()[args.pop("kind")](args)
            case "read":
                answer = client.mark_as_read(args["wamid"])
            case "upload":
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / args["file_name"]
                    path.write_bytes(base64.b64decode(args["base64"]))
                    answer = client.upload_media(str(path))
            case "retrieve":
                answer = {"url": client.query_media_url(args["id"])}
            case "download":
                with tempfile.TemporaryDirectory() as folder:
                    path = client.download_media(args["url"], args["type"], f"{folder}/got")
                    answer = base64.b64encode(Path(path or "").read_bytes()).decode()
            case "remove":
                answer = client.delete_media(args["id"])
            case _:
                raise ValueError(name)
        if isinstance(answer, dict) and "error" in answer:
            raise Failed(answer["error"]["message"], answer["error"]["code"])
        return answer

    def _kinds(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        client = self._client
        cards = [{"name": {"formatted_name": "Ada Lovelace", "first_name": "Ada"}, "phones": [{"phone": "+15551234567"}]}]
        parameters = [{"type": "text", "text": "Ada"}, {"type": "text", "text": "77"}]
        rows = [{"id": "flat", "title": "Flat white", "description": "with milk"}]
        reply = {
            "type": "button",
            "body": {"text": BODY},
            "action": {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}]},
        }
        choice = {
            "header": "A question",
            "body": BODY,
            "footer": "a footer",
            "action": {"button": "Choose", "sections": [{"title": "Coffee", "rows": rows}]},
        }
        return {
            "text": lambda a: (
                client.reply_to_message(a["context"], a["to"], "Hello from heyoo")
                if "context" in a
                else client.send_message("Hello from heyoo", a["to"])
            ),
            "image": lambda a: client.send_image(a["media"], a["to"], link=False),
            "image_link": lambda a: client.send_image(f"{LINK}a.jpg", a["to"]),
            "video": lambda a: client.send_video(f"{LINK}a.mp4", a["to"], caption="a film"),
            "audio": lambda a: client.send_audio(f"{LINK}a.ogg", a["to"]),
            "document": lambda a: client.send_document(f"{LINK}a.pdf", a["to"], caption="a paper"),
            "sticker": lambda a: client.send_sticker(f"{LINK}a.webp", a["to"]),
            "location": lambda a: client.send_location("-13.52", "-71.97", "Plaza", "Cusco", a["to"]),
            "contacts": lambda a: client.send_contacts(cards, a["to"]),
            "reaction": lambda a: client.send_reaction("👍", a["wamid"], a["to"]),
            "buttons": lambda a: client.send_reply_button(reply, a["to"]),
            "list": lambda a: client.send_button(choice, a["to"]),
            "template": lambda a: client.send_template(
                a["template"], a["to"], [{"type": "body", "parameters": parameters}], lang="en_US"
            ),
        }


@asynccontextmanager
async def python_client(name: str, place: Place) -> AsyncIterator[PywaClient | HeyooClient]:
    client = PywaClient(place) if name == "pywa" else HeyooClient(place)

    async def verify(request: web.Request) -> web.Response:
        text, status = client.verify(request.query)
        return web.Response(text=text, status=status)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        text, status = await asyncio.to_thread(client.take, body, request.headers.get("X-Hub-Signature-256"))
        return web.Response(text=text, status=status)

    app = web.Application(client_max_size=4 * 2**20)
    app.add_routes([web.get("/hook", verify), web.post("/hook", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client.hook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield client
    finally:
        await runner.cleanup()
        client.close()
