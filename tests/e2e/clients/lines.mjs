// What the tests say to a client and what it answers: JSON, a line each. A web server beside it takes the callbacks.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** Tell of something that a callback brought. */
export const heard = (what) => tell({ heard: what });

/** Do what the tests ask for, by name, until they hang up; `hook` answers the requests of the callbacks. */
export function serve(calls, hook) {
    const server = createServer(hook);
    server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
    const lines = createInterface({ input: process.stdin });
    lines.on("line", async (line) => {
        const { id, call, args } = JSON.parse(line);
        try {
            tell({ id, result: (await calls[call](args)) ?? null });
        } catch (error) {
            tell({ id, error: { name: error.name, message: error.message, code: error.code ?? null } });
        }
    });
    lines.on("close", () => process.exit(0));
}

/** All bytes of a request. */
export async function bytesOf(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks);
}
