// Schedules of simulations as text and as values.

import { describe, expect, test } from 'vitest'
import {
  formatSchedule,
  parseSchedule,
  type SimulatedFault,
  SimulatedSchedule,
} from '../../../../jepsen-lite/simulation/schedule/index.ts'

const TEXT = '120 crash leader for 500; 300 pause worker for 2000; 700 slow-link n1,worker by 40 for 300'
const FAULTS: SimulatedFault[] = [
  { at: 120, fault: 'crash', on: ['leader'], for: 500 },
  { at: 300, fault: 'pause', on: ['worker'], for: 2000 },
  { at: 700, fault: 'slow-link', on: ['n1', 'worker'], by: 40, for: 300 },
]

test('a text is a list of faults, and is written the same', () => {
  expect(parseSchedule(TEXT)).toEqual(FAULTS)
  expect(formatSchedule(FAULTS)).toBe(TEXT)
})

test('every kind has a text', () => {
  const text = [
    '0 crash n1,a.b_c/d-1 for 1',
    '0 stop n2 for 1000000000',
    '1 pause leader,worker for 1',
    '1 partition n1,n2,worker for 1',
    '2 one-way n3 for 1',
    '2 power-loss leader for 1',
    '3 slow-link worker by 1 for 1',
    '3 slow-disk n1 by 250 for 1',
    '1000000000 skew n1,worker by 0.9 for 1',
  ].join('; ')
  expect(formatSchedule(parseSchedule(text))).toBe(text)
})

test('steps may stand on lines, with spaces; empty ones do not count', () => {
  const text =
    '\n 120  crash leader for 500 ;\r\n300 pause worker for 2000;;\n700 slow-link n1 , worker by 40.0 for 0300\n'
  expect(parseSchedule(text)).toEqual(FAULTS)
  expect(parseSchedule('')).toEqual([])
})

describe('an error names the step and what was expected there', () => {
  test.each([
    ['crash', 'a whole number of milliseconds from 0 to 1,000,000,000, not "crash"'],
    ['-1 crash n1 for 5', 'a whole number of milliseconds from 0 to 1,000,000,000, not "-1"'],
    ['1.5 crash n1 for 5', 'a whole number of milliseconds from 0 to 1,000,000,000, not "1.5"'],
    ['1000000001 crash n1 for 5', 'a whole number of milliseconds from 0 to 1,000,000,000, not "1000000001"'],
    [
      '1',
      'one of crash, stop, pause, partition, one-way, power-loss, slow-link, slow-disk, skew, not its end',
    ],
    ['1 chrash n1 for 5', 'slow-disk, skew, not "chrash" (did you mean crash?)'],
    ['1 toString n1 for 5', 'slow-disk, skew, not "toString"'],
    ['1 crash', 'a node, a process or leader, not its end'],
    ['1 crash for 5', 'a node, a process or leader, not "for"'],
    ['1 crash by for 5', 'a node, a process or leader, not "by"'],
    ['1 crash n1, for 5', 'a node, a process or leader, not "for"'],
    ['1 crash 1st for 5', 'a node, a process or leader, not "1st"'],
    ["1 crash o'neil for 5", 'a node, a process or leader, not "o\'neil"'],
    ['1 power-loss worker for 5', 'a node (n1, n2, …) or leader, not "worker"'],
    ['1 stop n1,n01 for 5', 'a node (n1, n2, …) or leader, not "n01"'],
    ['1 crash n1,n2,n1 for 5', 'a name that this step does not have yet, not "n1"'],
    ['1 crash n1 n2 for 5', "another name after ',', or 'for', not \"n2\""],
    ['1 crash n1 by 2 for 5', "another name after ',', or 'for', not \"by\""],
    ['1 crash n1', "another name after ',', or 'for', not its end"],
    ['1 skew n1 for 5', "another name after ',', or 'by', not \"for\""],
    ['1 skew n1 by 0 for 5', 'a rate above 0 and up to 100, of at most four decimals, not "0"'],
    ['1 skew n1 by 1.00001 for 5', 'a rate above 0 and up to 100, of at most four decimals, not "1.00001"'],
    ['1 skew n1 by 101 for 5', 'a rate above 0 and up to 100, of at most four decimals, not "101"'],
    ['1 slow-disk n1 by 1.5 for 5', 'a whole number of milliseconds from 1 to 1,000,000,000, not "1.5"'],
    ['1 slow-disk n1 by for 5', 'a whole number of milliseconds from 1 to 1,000,000,000, not "for"'],
    ['1 slow-disk n1 by 5', "'for', not its end"],
    ['1 crash n1 for 0', 'a whole number of milliseconds from 1 to 1,000,000,000, not "0"'],
    ['1 crash n1 for 5ms', 'a whole number of milliseconds from 1 to 1,000,000,000, not "5ms"'],
    ['1 crash n1 for', 'a whole number of milliseconds from 1 to 1,000,000,000, not its end'],
    ['1 crash n1 for 5 5', 'the end of the step, which is \';\' or a new line, not "5"'],
  ])('%s', (step, expected) => {
    let message: unknown
    try {
      parseSchedule(`120 crash leader for 500;\n\n${step}; 1 chrash`)
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
      message = error instanceof Error && error.message
    }
    expect(message).toContain(`schedule: step 2, "${step}": expected `)
    expect(message).toContain(expected)
  })
})

describe('a schedule', () => {
  test('is made of a text or of faults, and prints as a literal', () => {
    expect(new SimulatedSchedule(TEXT).faults).toEqual(FAULTS)
    expect(new SimulatedSchedule(FAULTS).text).toBe(TEXT)
    expect(`${new SimulatedSchedule(FAULTS)}`).toBe(`'${TEXT}'`)
    expect(`${new SimulatedSchedule([])}`).toBe("''")
  })

  test('has its faults in the order in which they begin', () => {
    const schedule = new SimulatedSchedule('9 stop n1 for 1; 5 pause b for 1; 5 crash a for 1')
    expect(schedule.text).toBe('5 pause b for 1; 5 crash a for 1; 9 stop n1 for 1')
  })

  test('does not change with the objects that it is made of', () => {
    const on = ['n1']
    const faults: SimulatedFault[] = [{ at: 1, fault: 'crash', on, for: 2 }]
    const schedule = new SimulatedSchedule(faults)
    on.push('n2')
    faults.pop()
    expect(schedule.text).toBe('1 crash n1 for 2')
  })

  test.each([
    [5, 'faults must be a text or a list of faults, not 5'],
    [[null], 'options must be an object, not null'],
    [[{ at: 1, fault: 'crash', nodes: ['n1'], for: 1 }], 'there is no option "nodes"'],
    [[{ at: 1, fault: 'kill', on: ['n1'], for: 1 }], 'fault must be one of crash, stop,'],
    [[{ at: 0.5, fault: 'crash', on: ['n1'], for: 1 }], 'at must be a whole number'],
    [[{ at: 1, fault: 'crash', on: [], for: 1 }], 'on must be a list of different names'],
    [[{ at: 1, fault: 'crash', on: ['n1', 'n1'], for: 1 }], 'on must be a list of different names'],
    [[{ at: 1, fault: 'crash', on: ['a b'], for: 1 }], 'each a node, a process or leader'],
    [[{ at: 1, fault: 'one-way', on: ['worker'], for: 1 }], 'each a node (n1, n2, …) or leader'],
    [[{ at: 1, fault: 'crash', on: ['n1'] }], 'for must be a whole number of milliseconds from 1'],
    [[{ at: 1, fault: 'crash', on: ['n1'], for: 1, by: 5 }], 'by must be undefined with crash, not 5'],
    [[{ at: 1, fault: 'skew', on: ['n1'], for: 1 }], 'by must be a rate above 0'],
    [[{ at: 1, fault: 'slow-disk', on: ['n1'], for: 1, by: '5' }], 'by must be a whole number of'],
  ])('of %j is refused', (faults, message) => {
    const make = () => new SimulatedSchedule(faults as never)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})
