// The alert rules and the board of docs/guides/monitoring.md name only metrics that a node has.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster } from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const matches = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, of = '']) => of)

/** Names of metrics in an expression of PromQL: what is neither a function, an operator, a label nor a string. */
function metricsIn(expression: string): string[] {
  const bare = expression
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, '')
    .replace(/\b(by|on|group_right)\s*\([^)]*\)/g, '')
  return matches(bare, /\b([a-z]\w*)\b(?!\s*\()/g).filter((name) => !OPERATORS.has(name))
}

const OPERATORS = new Set(['and', 'max', 'sum', 'count'])

function expressionsOfBoard(json: string): string[] {
  const exprs: string[] = []
  JSON.parse(json, (key, value) => {
    if (key === 'expr') exprs.push(String(value))
    return value
  })
  return exprs
}

const alerts = read('deploy/prometheus/alerts.yml')
const expressions = [
  ...matches(alerts, /^ +expr: (.+)$/gm),
  ...expressionsOfBoard(read('deploy/grafana/quorate.json')),
]
/** `up` is a metric of Prometheus itself. */
const named = new Set(expressions.flatMap(metricsIn).filter((name) => name !== 'up'))

test('alerts and board name metrics of the reference, and a node has them', async () => {
  expect(expressions.length).toBeGreaterThan(30)
  expect(named.size).toBeGreaterThan(20)
  const rows = read('docs/reference/metrics.md').split('\n')
  const namesOf = (lines: readonly string[], pattern = /^\| `(\w+)` \| (\w+) \|/): string[] =>
    lines.flatMap((line) => {
      const [, name = '', type] = pattern.exec(line) ?? []
      return type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name]
    })
  const documented = new Set(namesOf(rows))
  expect([...named].filter((name) => !documented.has(name))).toEqual([])

  const cluster = await startCluster({ nodes: 1 })
  try {
    const scrape = await (await fetch(`${cluster.endpoints[0]}/metrics`)).text()
    const scraped = new Set(namesOf(scrape.split('\n'), /^# TYPE (\w+) (\w+)$/))
    const conditional = new Set(namesOf(rows.filter((row) => /\bonly with\b/i.test(row))))
    expect([...named].filter((name) => !scraped.has(name) && !conditional.has(name))).toEqual([])
  } finally {
    await cluster.close()
  }
})

test('promtool tries each alert', () => {
  const names = matches(alerts, /^ +- alert: (\w+)$/gm)
  const tried = read('deploy/prometheus/alerts_test.yml')
  for (const name of names) expect(matches(tried, /alertname: (\w+)$/gm)).toContain(name)
})
