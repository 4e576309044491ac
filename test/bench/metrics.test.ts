import { expect, test } from 'vitest'
import { metric } from '../../bench/clusters/metrics.ts'

const TEXT = `# HELP syncs_count how often
# TYPE syncs_count counter
syncs_count{disk="a"} 12
syncs_count{disk="b"} 3
syncs_count_more 100
written 1.5e+06
`

test('a metric is the sum over its labels, and of no other that begins with its name', () => {
  expect(metric(TEXT, 'syncs_count')).toBe(15)
  expect(metric(TEXT, 'written')).toBe(1_500_000)
  expect(metric(TEXT, 'absent')).toBe(0)
})
