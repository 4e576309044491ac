// Short runs of the whole harness.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { parse } from '../../../jepsen-lite/checker/index.ts'
import { chooseNemeses } from '../../../jepsen-lite/local/catalogue.ts'
import type { Nemesis } from '../../../jepsen-lite/local/nemesis.ts'
import type { LocalRunOptions } from '../../../jepsen-lite/local/options.ts'
import { run } from '../../../jepsen-lite/local/run.ts'
import type { WireName } from '../../../jepsen-lite/local/wires/index.ts'

export const options = (
  rest: Partial<LocalRunOptions> & { readonly nemeses: readonly Nemesis[]; readonly out: string },
): LocalRunOptions => ({
  timeS: 4.5,
  workload: 'kv',
  wire: 'http',
  rate: 30,
  clients: 5,
  nodes: 3,
  // Its first two faults are short.
  seed: 236_018,
  command: 'a test',
  // Two checkouts that run at a time do not take the ports of each other's nodes while these are down.
  portFrom: 20_000 + Math.floor(Math.random() * 9_000),
  tls: false,
  signal: new AbortController().signal,
  say: () => {},
  ...rest,
})

export function nemeses(...names: string[]): readonly Nemesis[] {
  const chosen = chooseNemeses(names)
  if (typeof chosen === 'string') throw new Error(chosen)
  return chosen
}

/** A short run. Its history is judged by the changes of every key that one client received. */
export async function runJudgedByLog(
  workload: 'watch' | 'lease' | 'lock' | 'queue',
  out: string,
  wire: WireName = 'http',
): Promise<void> {
  const results = await run(
    options({
      workload,
      wire,
      tls: workload === 'watch',
      timeS: 3,
      clients: 2,
      nemeses: nemeses('kill-one'),
      out,
    }),
  )
  expect(results).toMatchObject({ verdict: 'pass', findings: [], checked: { model: 'log', finals: 3 } })
  const { header, watches, storeCalls } = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
  const log = watches.filter(({ client }) => client === header.log).flatMap(({ messages }) => messages)
  const revisions = log.flatMap(({ message }) => (message.kind === 'events' ? [message.revision] : []))
  const last = log.flatMap(({ message }) => (message.kind === 'due' ? [message.revision] : []))
  expect(revisions.length).toBeGreaterThan(10)
  expect(last.at(-1)).toBe(Math.max(...revisions))
  expect(storeCalls.length).toBeGreaterThan(0)
}
