// Facts about a run, as a person writes them: `n2.role = leader and n1.commit >= 3`. A page imports this file, so it
// needs nothing of the engine.

import type { LabView } from '../view.ts'
import {
  type FactValue,
  type NamedSubject,
  NONE,
  namedSubject,
  SUBJECTS,
  valueIn,
  valuesOf,
} from './vocabulary.ts'

const OPERATORS = ['!=', '<=', '>=', '=', '<', '>', 'contains'] as const
type Operator = (typeof OPERATORS)[number]

interface Comparison {
  readonly left: NamedSubject
  readonly operator: Operator
  readonly right: FactValue | NamedSubject
}

export interface RunFact {
  readonly text: string
  /**
   * The instant, in virtual milliseconds. end: the last one of the step; ever: some instant of the step; never: none
   * of them.
   */
  readonly at: number | 'end' | 'ever' | 'never'
  /** They hold at the same instant. */
  readonly comparisons: readonly Comparison[]
}

const COMPARISON =
  /\s*([a-z]\w*(?:[.[\],][\w-]+\]?)*)\s*(!=|<=|>=|=|<|>|contains\b)\s*("[^"]*"|[^\s"]\S*)\s*(and\b|$)/y

/** Throws `RangeError` for any other text. */
export function parseFact(text: string): RunFact {
  const [, when, rest = ''] = /^\s*(?:(\d+:|(?:ever|never)\b))?\s*(.*)$/s.exec(text) ?? []
  const comparisons: Comparison[] = []
  COMPARISON.lastIndex = 0
  let isOver = false
  while (!isOver) {
    const [found, left = '', operator, right = '', and] = COMPARISON.exec(rest) ?? []
    if (found === undefined)
      throw new RangeError(
        `expected [MS: | ever | never] SUBJECT ${OPERATORS.join('|')} VALUE [and …], found ${JSON.stringify(text)}`,
      )
    comparisons.push(comparisonOf(left, operator as Operator, right))
    isOver = and === ''
  }
  const at =
    when === undefined ? 'end' : when === 'ever' || when === 'never' ? when : Number.parseInt(when, 10)
  return { text, at, comparisons }
}

function comparisonOf(subjectText: string, operator: Operator, valueText: string): Comparison {
  const left = subjectOf(subjectText)
  const right = (/[.[]/.test(valueText) ? namedSubject(valueText) : undefined) ?? plainValue(valueText)
  const values = valuesOf(left)
  const problem =
    /[<>]/.test(operator) && values !== 'number'
      ? 'only numbers are compared by their size'
      : operator === 'contains'
        ? undefined
        : typeof right === 'object'
          ? difference(values, valuesOf(right))
          : mismatch(right, values)
  if (problem !== undefined) throw new RangeError(`${subjectText}: ${problem}`)
  return { left, operator, right }
}

function subjectOf(text: string): NamedSubject {
  const found = namedSubject(text)
  if (found !== undefined) return found
  throw new RangeError(`there is no ${text}; there are ${SUBJECTS.map(({ form }) => form).join(', ')}`)
}

function plainValue(text: string): FactValue {
  if (text.startsWith('"')) return text.slice(1, -1)
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

type Values = ReturnType<typeof valuesOf>

const difference = (left: Values, right: Values): string | undefined =>
  left === right || left === 'text' || right === 'text' ? undefined : 'the two never have the same value'

function mismatch(value: FactValue, values: Values): string | undefined {
  if (value === NONE || values === 'text') return undefined
  if (values === 'number') return typeof value === 'number' ? undefined : `expected a number, found ${value}`
  if (values === 'node')
    return /^n\d+$/.test(String(value)) ? undefined : `expected a node, such as n1, found ${value}`
  return values.includes(String(value)) ? undefined : `expected one of ${values.join(', ')}, found ${value}`
}

/** The names of nodes, clients and watches in a fact. */
export const namesIn = ({ comparisons }: RunFact): string[] =>
  comparisons
    .flatMap(({ left, right }) => [...left.names, ...(typeof right === 'object' ? right.names : [right])])
    .filter((name): name is string => typeof name === 'string' && /^[ncw]\d+$/.test(name))

/** Whether the comparisons hold at this instant. The time of the fact is not considered. */
export const holdsIn = ({ comparisons }: Pick<RunFact, 'comparisons'>, view: LabView): boolean =>
  comparisons.every(({ left, operator, right }) =>
    compares(valueIn(left, view), operator, typeof right === 'object' ? valueIn(right, view) : right),
  )

function compares(left: FactValue, operator: Operator, right: FactValue): boolean {
  switch (operator) {
    case '=':
      return left === right
    case '!=':
      return left !== right
    case 'contains':
      return String(left).includes(String(right))
  }
  if (typeof left !== 'number' || typeof right !== 'number') return false
  switch (operator) {
    case '<':
      return left < right
    case '<=':
      return left <= right
    case '>':
      return left > right
    case '>=':
      return left >= right
  }
}
