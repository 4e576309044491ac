// The bytes that a put allocates. They are counted in a process of its own, where no garbage is collected between the
// puts and the compiler does not run beside them. So the same program has the same result each time, however busy the
// machine.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { shownTable } from './shown-table.ts'

/**
 * Bytes of a put in the heap, and in buffers outside of it, at 1000 puts a turn: driver, core, state machine, store and
 * frames, without HTTP, sockets and LevelDB. A lower number belongs here as soon as it is reached; a higher one must be
 * worth it. src/server/README.md shows this table.
 */
const TABLE = `
| plain | leader | 2734 | 935 |
| plain | follower | 2100 | 909 |
| session | leader | 9193 | 1501 |
| session | follower | 7750 | 1517 |
| token | leader | 17340 | 1746 |
| token | follower | 15679 | 1736 |
| batch | leader | 2188 | 1013 |
| batch | follower | 2130 | 1013 |
`
  .trim()
  .split('\n')

/**
 * A closure that each put makes takes more, for a plain put. What the compiler inlines differs a little from run to
 * run, the more so the more a put does.
 */
const MARGIN = 0.015
/** Buffers are slabs of 64 KiB, which begin before the count and end after it. */
const SLABS_MARGIN_BYTES = 80

const FLAGS = [
  '--expose-gc',
  '--single-threaded',
  '--min-semi-space-size=128',
  '--max-semi-space-size=128',
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

test('src/server/README.md shows this table', () => {
  expect(shownTable('puts | node | heap')).toEqual(TABLE)
})
