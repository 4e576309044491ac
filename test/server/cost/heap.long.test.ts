// The bytes that a put allocates. A process of its own counts them. There V8 collects no garbage between the puts,
// compiles on the main thread, and inlines nothing: which functions it inlines depends even on the path of the
// checkout. So one program has one result, on a busy machine too.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/**
 * Bytes of a put in the heap, and in buffers outside of it, at 1000 puts a turn: driver, core, state machine, store and
 * frames, without HTTP, sockets and LevelDB. A lower number belongs here as soon as it is reached; a higher one must be
 * worth it.
 */
const TABLE = `
| plain | leader | 2980 | 935 |
| plain | follower | 2347 | 909 |
| session | leader | 8970 | 1501 |
| session | follower | 7289 | 1517 |
| token | leader | 18112 | 1746 |
| token | follower | 16123 | 1736 |
| batch | leader | 2367 | 1013 |
| batch | follower | 2326 | 980 |
`
  .trim()
  .split('\n')

/** Share of the heap bytes. One more closure for each put exceeds it in the rows of a plain put. */
const MARGIN = 0.015
/** Buffers are slabs of 64 KiB, which begin before the count and end after it. */
const SLABS_MARGIN_BYTES = 80

const FLAGS = [
  '--expose-gc',
  '--single-threaded',
  '--no-maglev-inlining',
  '--no-turbo-inlining',
  '--min-semi-space-size=256',
  '--max-semi-space-size=256',
  fileURLToPath(new URL('heap.child.ts', import.meta.url)),
]

type Costs = Record<string, Record<string, { readonly heap: number; readonly buffers: number }>>

test('bytes that a put allocates on leader and follower', async () => {
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, FLAGS, { env, timeout: 200_000 })
  const { disturbed, costs }: { disturbed: number; costs: Costs } = JSON.parse(stdout)
  expect(disturbed).toBe(0)
  const found = TABLE.map((line) => {
    const [, kind = '', role = '', heap = '', buffers = ''] = line.split(/ ?\| ?/)
    const bytes = costs[kind]?.[role]
    if (bytes === undefined) throw new Error(`no ${kind} put on a ${role}`)
    const isNear = (bytes: number, told: string, margin: number) => Math.abs(bytes - Number(told)) <= margin
    return isNear(bytes.heap, heap, MARGIN * Number(heap)) &&
      isNear(bytes.buffers, buffers, SLABS_MARGIN_BYTES)
      ? line
      : `| ${kind} | ${role} | ${bytes.heap} | ${bytes.buffers} |`
  })
  expect(found).toEqual(TABLE)
})
