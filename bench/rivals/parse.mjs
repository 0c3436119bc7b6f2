// whatsapp-chat-parser (npm) over one file: what it took, as a line of JSON.
import { readFileSync } from 'node:fs';
import { parseString } from 'whatsapp-chat-parser';

const began = performance.now();
const before = process.cpuUsage();
const messages = parseString(readFileSync(process.argv[2], 'utf8'), { parseAttachments: true });
const used = process.cpuUsage(before);
console.log(
  JSON.stringify({
    records: messages.length,
    notices: messages.filter((message) => message.author === null).length,
    seconds: (performance.now() - began) / 1000,
    cpu_seconds: (used.user + used.system) / 1e6,
    peak_mb: process.resourceUsage().maxRSS / 1024,
  }),
);
