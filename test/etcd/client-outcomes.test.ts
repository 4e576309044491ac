// The outcomes of tests, as the programs of each language print them.

import { expect, test } from 'vitest'
import { GO_LINE } from './clients/go.ts'
import { PYTEST_LINE } from './clients/python.ts'
import { CARGO_LINE } from './clients/rust.ts'
import { faultsOf, type Outcome, readOutcomes } from './clients/suite.ts'

const outcomes = (output: string, line: RegExp) => Object.fromEntries(readOutcomes(output, line))

test('Go', () => {
  const output = `=== RUN   TestA
=== RUN   TestA/part_one
    a_test.go:3: --- FAIL: in a message
--- FAIL: TestA (1.25s)
    --- PASS: TestA/part_one (0.00s)
    --- FAIL: TestA/part_two (1.00s)
        --- FAIL: TestA/part_two/deep (1.00s)
--- SKIP: TestB (0.00s)
--- PASS: TestC (0.00s)
FAIL
`
  expect(outcomes(output, GO_LINE)).toEqual({
    TestA: 'failed',
    'TestA/part_one': 'passed',
    'TestA/part_two': 'failed',
    'TestA/part_two/deep': 'failed',
    TestB: 'skipped',
    TestC: 'passed',
  })
})

test('pytest', () => {
  const output = `tests/test_a.py ..F                 [100%]
=========================== short test summary info ============================
PASSED tests/test_a.py::TestA::test_one
PASSED etcd3gw/tests/unit/test_a.py::test_two[a-1]
SKIPPED [1] tests/test_a.py:5: a reason
ERROR tests/test_a.py::TestA::test_four - OSError: in use
PASSED tests/test_a.py::TestA::test_four
PASSED tests/test_a.py::TestA::test_five
ERROR tests/test_a.py::TestA::test_five - OSError: at the end
FAILED tests/test_a.py::TestA::test_three - AssertionError: PASSED tests/test_a.py::no
========================= 1 failed, 3 passed in 0.12s ==========================
`
  expect(outcomes(output, PYTEST_LINE)).toEqual({
    'test_a.py::TestA::test_one': 'passed',
    'test_a.py::test_two[a-1]': 'passed',
    'test_a.py::TestA::test_three': 'failed',
    'test_a.py::TestA::test_four': 'failed',
    'test_a.py::TestA::test_five': 'failed',
  })
})

test('cargo', () => {
  const output = `running 4 tests
test test_one ... ok
test kv::test_two ... FAILED
test test_three ... ignored
test test_four ... ignored, a reason
test result: FAILED. 1 passed; 1 failed; 2 ignored
`
  expect(outcomes(output, CARGO_LINE)).toEqual({
    test_one: 'passed',
    'kv::test_two': 'failed',
    test_three: 'skipped',
    test_four: 'skipped',
  })
})

test.each([
  ['FAIL', 'PASS'],
  ['PASS', 'FAIL'],
  ['SKIP', 'FAIL'],
])('a test that has %s and %s has failed', (first, second) => {
  expect(outcomes(`--- ${first}: TestA (0.00s)\n--- ${second}: TestA (0.00s)\n`, GO_LINE)).toEqual({
    TestA: 'failed',
  })
})

const SUITE = {
  cannotPass: { quorate: { a: 'a reason', b: 'another' }, etcd: { c: 'a reason' } },
  testsMin: 5,
}
const OUTCOMES: Readonly<Record<string, Outcome>> = {
  ...{ a: 'failed', b: 'failed', c: 'passed', d: 'passed', e: 'passed', f: 'skipped' },
}

test.each<[Record<string, Outcome | undefined>, readonly string[]]>([
  [{}, []],
  [{ g: 'passed' }, []],
  [{ c: 'failed' }, ['c has failed']],
  [{ g: 'failed' }, ['g has failed']],
  [{ a: 'passed' }, ['a cannot pass, and is passed']],
  [{ b: 'skipped', g: 'passed' }, ['b cannot pass, and is skipped']],
  [{ b: undefined, g: 'passed' }, ['b cannot pass, and is missing']],
  [{ d: undefined }, ['4 tests ran, and not 5']],
  [{ d: 'skipped' }, ['4 tests ran, and not 5']],
])('a suite with %j beside what it has on quorate: %j', (more, faults) => {
  const outcomes = Object.entries<Outcome | undefined>({ ...OUTCOMES, ...more }).flatMap(([name, outcome]) =>
    outcome === undefined ? [] : [[name, outcome] as const],
  )
  expect(faultsOf(SUITE, 'quorate', new Map(outcomes))).toEqual(faults)
})

test('on etcd other tests cannot pass', () => {
  expect(faultsOf(SUITE, 'etcd', new Map(Object.entries(OUTCOMES)))).toEqual([
    'a has failed',
    'b has failed',
    'c cannot pass, and is passed',
  ])
})
