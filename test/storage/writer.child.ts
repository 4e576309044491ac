// A process that writes batches until it is killed or a write fails. It prints what has been acknowledged.
//
//   writer.child.ts DIR FIRST PADDING

import { writeSync } from 'node:fs'
import { openStorage } from '../../src/storage/directory.ts'
import { submit } from './workload.ts'

const [dir = '', first = '1', padding = '0'] = process.argv.slice(2)
const say = (line: string): void => void writeSync(1, `${line}\n`)

const limits = { writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024 }
const storage = await openStorage(dir, { limits }).catch((error: unknown) => {
  say(`refused ${error}`)
  process.exit(1)
})
say('open')
for (let number = Number(first); ; number++) {
  try {
    await submit(storage, number, Number(padding))
  } catch (error) {
    say(`failed ${error instanceof Error ? error.message : error}`)
    break
  }
  say(`stored ${number}`)
}
// The first error is final: no later call does anything.
const ALL = { gte: new Uint8Array(1), lt: Uint8Array.of(2), reverse: false }
for (const ask of [() => storage.get(new Uint8Array(1)), () => storage.scan(ALL)]) {
  try {
    ask()
    say('answered after a failure')
  } catch {}
}
storage.close((error) => {
  say(error === undefined ? 'closed after a failure' : 'abandoned')
  process.exit(0)
})
