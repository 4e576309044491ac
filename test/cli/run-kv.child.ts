// Runs commands in this process one after the other. The input is a JSON array of `{ args, cwd?, env? }`, the output
// the array of what each printed. A process has one program name (QUORATE_CALLED_AS).

import { json } from 'node:stream/consumers'
import { kv, type RunOptions } from './run-kv.ts'

const runs = (await json(process.stdin)) as readonly (RunOptions & { readonly args: readonly string[] })[]
const printed: string[] = []
for (const { args, ...options } of runs) {
  const { out, err } = await kv(args, options)
  printed.push(out + err)
}
console.log(JSON.stringify(printed))
