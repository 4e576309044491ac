// Runs commands in this process one after the other. The input is a JSON array of `{ args, cwd?, env? }`, the output
// the array of the exit code of each and what it printed. A process has one program name (QUORATE_CALLED_AS).

import { json } from 'node:stream/consumers'
import { type EndedTogether, kv, type RunOptions } from './run-kv.ts'

const runs = (await json(process.stdin)) as readonly (RunOptions & { readonly args: readonly string[] })[]
const ended: EndedTogether[] = []
for (const { args, ...options } of runs) {
  const { code, out, err } = await kv(args, options)
  ended.push({ code, text: out + err })
}
console.log(JSON.stringify(ended))
