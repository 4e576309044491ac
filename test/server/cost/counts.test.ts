// The cost of a put in syncs, rows, messages and socket writes: exact numbers, which no machine changes. A change that
// makes one lower brings the new table; one that makes one higher must say why it is worth it.

import { expect, test } from 'vitest'
import { KINDS, Puts } from './puts.ts'
import type { Spent } from './three-nodes.ts'

/**
 * The mean of two turns of puts on the leader, with the same number of puts each: puts and how they are known | node |
 * syncs | rows, of them deleted: - | bytes of rows | messages | bytes of messages | socket writes. All nodes are under
 * load: the puts of the next turn come when these are answered. `alone`: none come, until nothing is in flight.
 *
 * - Rows of a batch: the log record of the new entries, and what was applied since the batch before: the row of each
 *   new `version`, and `events`, a row for at least 16 changes; the `slot` of a session; for a token two rows, and the
 *   two of the oldest one, which is forgotten. The row of events of the newest changes is written again with each batch.
 *   `meta` (about 100 bytes) is in each batch, `applied` (about 400) in each one with applied rows.
 * - A put alone has two batches: the second one, a little later, has what the first one's entry did.
 * - A log record holds 256 KiB, a batch 4,096 rows: the 5,000 of 1000 puts with tokens need two.
 * - An entry has 65 bytes beside the 12 of its key and the 256 of its value; a session adds 16, a token 23. An append
 *   adds 57 for all entries. The followers answer with 53. An entry of a batch has 81 and 8 for each of up to 100 puts.
 *   Of these, 6 are the time at which the node took the change; the row of each version has them too.
 * - After a put alone the leader tells the followers that it is committed: a heartbeat of 46 bytes, without an answer.
 */
const TABLE = `
| 1 plain | leader | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 version | 1587.5 | 2 append | 780 | 2 |
| 1 plain | follower | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 version | 1550.5 | 1 append-accepted | 53 | 1 |
| 64 plain | leader | 1 | 1 applied, 1 events, 1 log, 1 meta, 64 version | 40965 | 2 append | 35572 | 2 |
| 64 plain | follower | 1 | 1 applied, 1 events, 1 log, 1 meta, 64 version | 40965 | 1 append-accepted | 53 | 1 |
| 1000 plain | leader | 1 | 1 applied, 3 events, 2 log, 1 meta, 1000 version | 629922 | 2 append | 552504 | 2 |
| 1000 plain | follower | 1 | 1 applied, 3 events, 2 log, 1 meta, 1000 version | 629922 | 1 append-accepted | 53 | 1 |
| 1 session | leader | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 slot, 1 version | 1700.5 | 2 append | 844 | 2 |
| 1 session | follower | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 slot, 1 version | 1663.5 | 1 append-accepted | 53 | 1 |
| 64 session | leader | 1 | 1 applied, 5 events, 1 log, 1 meta, 64 slot, 64 version | 51953 | 2 append | 46834 | 2 |
| 64 session | follower | 1 | 1 applied, 5 events, 1 log, 1 meta, 64 slot, 64 version | 51953 | 1 append-accepted | 53 | 1 |
| 1000 session | leader | 1 | 1 applied, 63.5 events, 2 log, 1 meta, 1000 slot, 1000 version | 801969 | 2 append | 730114 | 2 |
| 1000 session | follower | 1 | 1 applied, 63.5 events, 2 log, 1 meta, 1000 slot, 1000 version | 801969 | 1 append-accepted | 53 | 1 |
| 1 token | leader | 1 | 1 -order, 1 -token, 1 applied, 1 events, 1 log, 1 meta, 1 order, 1 token, 1 version | 1845.5 | 2 append | 858 | 2 |
| 1 token | follower | 1 | 1 -order, 1 -token, 1 applied, 1 events, 1 log, 1 meta, 1 order, 1 token, 1 version | 1808.5 | 1 append-accepted | 53 | 1 |
| 64 token | leader | 1 | 64 -order, 64 -token, 1 applied, 5 events, 1 log, 1 meta, 64 order, 64 token, 64 version | 61233 | 2 append | 47730 | 2 |
| 64 token | follower | 1 | 64 -order, 64 -token, 1 applied, 5 events, 1 log, 1 meta, 64 order, 64 token, 64 version | 61233 | 1 append-accepted | 53 | 1 |
| 1000 token | leader | 2 | 1000 -order, 1000 -token, 2 applied, 64.5 events, 2 log, 2 meta, 1000 order, 1000 token, 1000 version | 947783 | 2 append | 744114 | 2 |
| 1000 token | follower | 2 | 1000 -order, 1000 -token, 2 applied, 64.5 events, 2 log, 2 meta, 1000 order, 1000 token, 1000 version | 947783 | 1 append-accepted | 53 | 1 |
| 1 batch | leader | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 slot, 1 version | 1719.5 | 2 append | 860 | 2 |
| 1 batch | follower | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 slot, 1 version | 1682.5 | 1 append-accepted | 53 | 1 |
| 64 batch | leader | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 slot, 64 version | 43168 | 2 append | 35636 | 2 |
| 64 batch | follower | 1 | 1 applied, 1 events, 1 log, 1 meta, 1 slot, 64 version | 43168 | 1 append-accepted | 53 | 1 |
| 1000 batch | leader | 1 | 1 applied, 10 events, 2 log, 1 meta, 10 slot, 1000 version | 664525 | 2 append | 554054 | 2 |
| 1000 batch | follower | 1 | 1 applied, 10 events, 2 log, 1 meta, 10 slot, 1000 version | 664525 | 1 append-accepted | 53 | 1 |
| 1 alone | leader | 2 | 1 applied, 1 events, 1 log, 2 meta, 1 version | 1722.5 | 2 append, 2 heartbeat | 904 | 4 |
| 1 alone | follower | 2 | 1 applied, 1 events, 1 log, 2 meta, 1 version | 1722.5 | 1 append-accepted | 53 | 1 |
`
  .trim()
  .split('\n')

/** Time after which no work for a put is left. */
const AFTER_MS = 1000

/** Each name and how many of it there are now. */
type Counts = ReadonlyMap<string, number>

function difference(before: Spent, after: Spent): Counts {
  const found = new Map<string, number>()
  const add = (name: string, count: number): void => {
    if (count > 0) found.set(name, count)
  }
  for (const [name, count] of after.rows) add(`row ${name}`, count - (before.rows.get(name) ?? 0))
  for (const [type, count] of after.messages) add(`message ${type}`, count - (before.messages.get(type) ?? 0))
  add('syncs', after.syncs - before.syncs)
  add('row bytes', after.rowBytes - before.rowBytes)
  add('message bytes', after.messageBytes - before.messageBytes)
  add('socket writes', after.socketWrites - before.socketWrites)
  return found
}

/** The mean, without decimal places where all are the same. */
function cells(all: readonly Counts[]): string {
  const names = [...new Set(all.flatMap((each) => [...each.keys()]))].sort()
  const mean = (name: string): string => {
    const sum = all.reduce((so, each) => so + (each.get(name) ?? 0), 0)
    return Number((sum / all.length).toFixed(2)).toString()
  }
  const list = (kind: string): string =>
    names
      .filter((name) => name.startsWith(kind) && !name.endsWith('bytes'))
      .map((name) => `${mean(name)} ${name.slice(kind.length)}`)
      .join(', ')
  return [
    `${mean('syncs')} | ${list('row ')} | ${mean('row bytes')}`,
    `${list('message ')} | ${mean('message bytes')} | ${mean('socket writes')}`,
  ].join(' | ')
}

/** A line for the leader and one for the followers. */
function lines(title: string, { cluster }: Puts, rounds: number, run: () => void): string[] {
  const { leader, followers } = cluster
  const found: { readonly leader: Counts[]; readonly follower: Counts[] } = { leader: [], follower: [] }
  for (let round = 0; round < rounds; round++) {
    const before = new Map([leader, ...followers].map((node) => [node, node.spent]))
    run()
    for (const [node, spent] of before)
      (node === leader ? found.leader : found.follower).push(difference(spent, node.spent))
  }
  return [
    `| ${title} | leader | ${cells(found.leader)} |`,
    `| ${title} | follower | ${cells(found.follower)} |`,
  ]
}

test.each(KINDS)('%s puts of one turn', (kind) => {
  const found = [1, 64, 1000].flatMap((count) => {
    const puts = new Puts(kind, count)
    return lines(`${count} ${kind}`, puts, 2, () => puts.round())
  })
  expect(found).toEqual(TABLE.filter((line) => line.includes(` ${kind} |`)))
})

test('a put alone', () => {
  const puts = new Puts('plain', 1)
  puts.cluster.advance(AFTER_MS)
  const found = lines('1 alone', puts, 2, () => {
    puts.round()
    puts.cluster.advance(AFTER_MS)
  })
  expect(found).toEqual(TABLE.filter((line) => line.includes('alone')))
})
