// Schedules as text, for a command line and a URL:
//
//   120 crash leader for 500; 300 pause worker for 2000; 700 slow-link n1,worker by 40 for 300
//
// A step is a fault: when it begins, its kind, names, an amount if the kind has one, and its duration. Steps are
// separated by semicolons or new lines.

import { type Check, describeValue } from '../../../src/client/validators.ts'
import { didYouMean } from '../../../src/system/did-you-mean.ts'
import { amountCheck, atCheck, durationCheck, kindCheck, SIMULATED_KINDS, targetCheck } from './fault.ts'
import type { SimulatedFault, SimulatedFaultKind } from './types.ts'

export const formatSchedule = (faults: readonly SimulatedFault[]): string =>
  faults.map(formatFault).join('; ')

const formatFault = ({ at, fault, on, for: duration, by }: SimulatedFault): string =>
  `${at} ${fault} ${on.join(',')}${by === undefined ? '' : ` by ${by}`} for ${duration}`

/**
 * Faults in the order of the text.
 *
 * @throws RangeError which names the step, and what was expected there
 */
export function parseSchedule(text: string): SimulatedFault[] {
  return text
    .split(/[;\n]/)
    .map((step) => step.trim())
    .filter((step) => step !== '')
    .map((step, index) => parseFault(new Words(step, index + 1)))
}

function parseFault(words: Words): SimulatedFault {
  const at = words.number(atCheck)
  const fault = words.kind()
  const on = words.names(targetCheck(fault))
  const check = amountCheck(fault)
  if (check !== undefined) words.keyword('by', "another name after ',', or 'by'")
  const by = check && words.number(check)
  words.keyword('for', check === undefined ? "another name after ',', or 'for'" : "'for'")
  const duration = words.number(durationCheck)
  words.end()
  return { at, fault, on, for: duration, ...(by !== undefined && { by }) }
}

/** The words of one step. */
class Words {
  readonly #step: string
  readonly #number: number
  readonly #words: readonly string[]
  #next = 0

  constructor(step: string, number: number) {
    this.#step = step
    this.#number = number
    this.#words = step.match(/,|[^\s,]+/g) ?? []
  }

  number(check: Check): number {
    const word = this.#take()
    const value = /^\d+(\.\d+)?$/.test(word ?? '') ? Number(word) : undefined
    const expected = check(value)
    if (value === undefined || expected !== undefined) this.#fail(expected ?? 'a number', word)
    return value
  }

  kind(): SimulatedFaultKind {
    const word = this.#take()
    const kind = SIMULATED_KINDS.find((name) => name === word)
    if (kind !== undefined) return kind
    const hint = didYouMean(word ?? '', SIMULATED_KINDS)
    return this.#fail(`${kindCheck(word)}`, word, hint)
  }

  names(check: Check): string[] {
    const names: string[] = []
    do {
      const word = this.#take()
      const expected = check(word)
      if (word === undefined || expected !== undefined) this.#fail(`${expected}`, word)
      if (names.includes(word)) this.#fail('a name that this step does not have yet', word)
      names.push(word)
    } while (this.#takes(','))
    return names
  }

  keyword(word: string, expected: string): void {
    if (!this.#takes(word)) this.#fail(expected, this.#take())
  }

  end(): void {
    const word = this.#take()
    if (word !== undefined) this.#fail("the end of the step, which is ';' or a new line", word)
  }

  #take(): string | undefined {
    return this.#words[this.#next++]
  }

  #takes(word: string): boolean {
    const isNext = this.#words[this.#next] === word
    if (isNext) this.#next += 1
    return isNext
  }

  #fail(expected: string, word: string | undefined, hint?: string): never {
    const found = word === undefined ? 'its end' : describeValue(word)
    throw new RangeError(
      `schedule: step ${this.#number}, ${describeValue(this.#step)}: expected ${expected}, not ${found}` +
        (hint === undefined ? '' : ` (${hint})`),
    )
  }
}
