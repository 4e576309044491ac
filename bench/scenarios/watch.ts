// Many watchers on one node: what one costs while nothing happens, and how soon events come while keys are put.

import { setTimeout as sleep } from 'node:timers/promises'
import { settled } from '../clusters/cluster.ts'
import { BEGUN } from '../load/load.ts'
import { NODE_GENERATOR, NODE_WATCH_GENERATOR, startGenerator } from '../load/run-generator.ts'
import { WATCHING, type WatchLoad, type WatchReport } from '../load/watch-load.ts'
import { sample } from '../measure/processes.ts'
import type { Scenario } from './scenario.ts'

const WATCHERS = 10_000
/** A node has 50,000 at most, so these are spread over all nodes. */
const MANY_WATCHERS = 100_000
/** Watchers on one connection. */
const SHARED = 100
/** Before memory is read. */
const QUIET_MS = 5_000

function watching(
  name: string,
  about: string,
  watchedKeys: number,
  putsPerS: number,
  watchers = WATCHERS,
): Scenario {
  return {
    name,
    about,
    store: 'filled',
    per: 'system',
    ...(watchers === MANY_WATCHERS && { takesLong: true }),
    async measure(side, { seconds, warmupSeconds, valueBytes, rate }) {
      const nodes = await settled(side.cluster)
      const [{ url, pid }] = nodes
      const endpoints = watchers === MANY_WATCHERS ? nodes.map((node) => node.url) : [url]
      const cpuOfAll = (): number =>
        nodes.reduce((sum, node) => sum + (node.pid === undefined ? 0 : sample(node.pid).cpuMicros), 0)
      // The library watches for all protocols of quorate whose generator is in TypeScript.
      const usesClient = side.generator === NODE_GENERATOR
      if (pid === undefined) throw new Error('the process of the leader is not known')
      const load: WatchLoad = {
        over: usesClient ? 'client' : side.over,
        endpoints,
        connections: watchers / SHARED,
        watchers,
        watched_keys: watchedKeys,
        rate: rate ?? putsPerS,
        value_bytes: valueBytes,
        warmup_seconds: warmupSeconds,
        seconds,
      }
      await sleep(QUIET_MS)
      const without = sample(pid)
      const generator = startGenerator(usesClient ? NODE_WATCH_GENERATOR : side.generator, load)
      await generator.expect(WATCHING)
      await sleep(QUIET_MS)
      const idle = sample(pid)
      await sleep(QUIET_MS)
      const idleLater = sample(pid)
      generator.go()
      await generator.expect(BEGUN)
      const before = sample(pid)
      const cpuBefore = cpuOfAll()
      const report: WatchReport = JSON.parse(await generator.next())
      const after = sample(pid)
      return {
        figures: {
          events_per_s: report.events / seconds,
          missing: report.missing,
          p50_ms: report.p50_ms,
          p99_ms: report.p99_ms,
          p999_ms: report.p999_ms,
          max_ms: report.max_ms,
          leader_cpu_us_per_event: (after.cpuMicros - before.cpuMicros) / report.events,
          cpu_us_of_all_nodes_per_event: (cpuOfAll() - cpuBefore) / report.events,
          generator_cpu_us_per_event: report.cpu_us / report.events,
          idle_kb_per_watcher: ((idle.rssAnonMb - without.rssAnonMb) * 1000 * endpoints.length) / watchers,
          idle_cpu_percent: (idleLater.cpuMicros - idle.cpuMicros) / QUIET_MS / 10,
        },
        errors: report.errors,
      }
    },
  }
}

export const WATCHES: readonly Scenario[] = [
  watching(
    'watch',
    '10,000 watchers of as many keys on one node, 1,000 puts/s: an event each',
    WATCHERS,
    1_000,
  ),
  watching('watch-10', 'the same with ten watchers for each key: ten events each', WATCHERS / 10, 1_000),
  watching(
    'watch-100',
    'a hundred watchers for each key, 100 puts/s: a hundred events each',
    WATCHERS / 100,
    100,
  ),
  watching(
    'watch-100k',
    '100,000 watchers of as many keys on three nodes, 1,000 puts/s: an event each',
    MANY_WATCHERS,
    1_000,
    MANY_WATCHERS,
  ),
  watching(
    'watch-all-100k',
    '100,000 watchers of one key on three nodes, a put in ten seconds: 100,000 events each',
    1,
    0.1,
    MANY_WATCHERS,
  ),
]
