import { expect, test } from 'vitest'
import { report } from '../../bench/report/report.ts'
import { type Measurement, type Result, summariesOf } from '../../bench/report/result.ts'

const cost = {
  'leader.cpu_us': 12_345,
  'follower1.cpu_us': 12_345,
  'follower2.cpu_us': 12_345,
  'leader.vm_rss_mb': 1000,
  'follower1.vm_rss_mb': 1000,
  'follower2.vm_rss_mb': 1000,
  'leader.written_bytes_per_op': 123_456,
}

function load(side: string, round: number, opsPerS: number, p99: number): Measurement {
  const system = side.startsWith('quorate') ? 'quorate' : side
  const latencies = { p50_ms: p99 / 10, p99_ms: p99, p999_ms: 12_345, max_ms: 12_345 }
  const figures = {
    ops_per_s: opsPerS,
    ...latencies,
    server_cpu_us: 10,
    generator_cpu_us: 1,
    errors: 0,
    ...cost,
  }
  return { scenario: 'put-1000', side, system, round, figures, errors: {} }
}

const restart = (system: string, ms: number): Measurement => ({
  scenario: 'restart',
  side: system,
  system,
  round: 1,
  figures: { first_stale_read_ms: ms },
})

const RESULT: Result = {
  started: '2030-01-01T00:00:00.000Z',
  machine: {
    cores: 2,
    processor: 'a processor',
    memory_gb: 25,
    kernel: '6.1',
    file_system: 'ext4',
    fdatasync_ms: 0.1234,
  },
  versions: { node: 'v24.0.0' },
  given: { etcd: 'ten connections' },
  left_out: [
    { system: 'nats', scenario: 'mixed', reason: 'a reason' },
    { system: 'nats', scenario: 'get-1', reason: 'a reason' },
    { system: 'nats', scenario: 'range', reason: 'another' },
  ],
  settings: { keys: 1_000_000 },
  measurements: [
    load('quorate client', 1, 20_000, 8),
    load('etcd', 1, 10_000, 32),
    load('quorate client', 2, 40_000, 12),
    load('etcd', 2, 10_000, 48),
    load('nats:default', 1, 60_000, 20),
    restart('quorate', 250),
    restart('etcd', 1000),
    { ...restart('nats:default', 0), figures: {} },
  ],
}

const words = (text: string, start: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith(start))
    .map((line) => line.replaceAll(/ +/g, ' '))

test('each figure is the median of its rounds', () => {
  const [client] = summariesOf(RESULT.measurements)
  expect(client).toMatchObject({ side: 'quorate client', figures: { ops_per_s: 30_000, p99_ms: 10 } })
})

test('sides of one system and scenarios of one side have figures of their own', () => {
  const all = [
    load('quorate http', 1, 10, 1),
    load('quorate client', 1, 20, 1),
    load('quorate http', 2, 30, 1),
  ]
  const range = all.map((each) => ({ ...each, scenario: 'range', figures: { ops_per_s: 1 } }))
  const summaries = summariesOf([...all, ...range])
  expect(summaries.map(({ scenario, side, figures }) => [scenario, side, figures.ops_per_s])).toEqual([
    ['put-1000', 'quorate http', 20],
    ['put-1000', 'quorate client', 20],
    ['range', 'quorate http', 1],
    ['range', 'quorate client', 1],
  ])
})

test('a figure that the first round lacks is the median of the others', () => {
  const bare = { ...load('etcd', 1, 10, 1), figures: {} }
  const rounds = [bare, load('etcd', 2, 30, 1), load('etcd', 3, 50, 1)]
  expect(summariesOf(rounds)[0]?.figures.ops_per_s).toBe(40)
})

test('the cost of a follower is the mean of those that were measured', () => {
  const one = load('etcd', 1, 10, 1)
  const nodeRow = (more: object): string =>
    words(
      report({ ...RESULT, measurements: [{ ...one, figures: { ...one.figures, ...more } }] }),
      'put-1000',
    )[1] ?? ''
  expect(nodeRow({ 'leader.cpu_us': 1, 'follower1.cpu_us': 2, 'follower2.cpu_us': 6 })).toContain(
    'etcd 1 / 4 ',
  )
  const { 'follower2.cpu_us': _, ...figures } = one.figures
  const measurements = [{ ...one, figures: { ...figures, 'leader.cpu_us': 1, 'follower1.cpu_us': 6 } }]
  expect(words(report({ ...RESULT, measurements }), 'put-1000')[1]).toContain('etcd 1 / 6 ')
})

test('tables show all sides, what quorate is divided by each other system, and what was left out', () => {
  const text = report(RESULT)
  expect(words(text, 'put-1000')[0]).toBe('put-1000 quorate client 30,000 1 10 12,345 12,345 10 1 0')
  expect(words(text, 'put-1000').slice(-2)).toEqual([
    'put-1000 quorate client / etcd 3 × 0.25 × 0.25 × 1 × 1 × 1 ×',
    'put-1000 quorate client / nats:default 0.5 × 0.5 × 0.5 × 1 × 1 × 1 ×',
  ])
  expect(words(text, 'restart')).toEqual(['restart first stale read ms 250 1,000 0.25 × – –'])
  expect(text).toContain('etcd: ten connections')
  expect(words(text, 'without')).toEqual([
    'without mixed, get-1 of nats: a reason',
    'without range of nats: another',
  ])
})

test('what was not measured is shown as a dash', () => {
  const [{ figures, ...first } = RESULT.measurements[0] as Measurement] = RESULT.measurements
  const { ops_per_s, p50_ms } = figures as { ops_per_s: number; p50_ms: number }
  const bare = { ...RESULT, measurements: [{ ...first, figures: { ops_per_s, p50_ms } }] }
  expect(words(report(bare), 'put-1000')).toEqual([
    'put-1000 quorate client 20,000 0.8 – – – – – –',
    'put-1000 quorate client – – – – –',
  ])
})

test('no line is wider than 100 columns', () => {
  const wide = report(RESULT)
    .split('\n')
    .filter((line) => line.length > 100)
  expect(wide).toEqual([])
})
