// A table of refusals of one wire: what a client with each fault is answered, and in which order faults are found.

import type { Answer, Opening, Wire } from './openings.ts'

/** A fault of a client, or a state of the node that it asks. */
export interface Fault<O extends Opening = Opening> {
  readonly name: string
  readonly change?: Partial<O>
}

export interface MeasuredAnswer extends Answer {
  /** Lines of the audit log. */
  readonly audit: string
  /** Counters that have changed. */
  readonly count: string
}

/** A server with clients that have some faults at a time. */
interface Bench<F> {
  ask(...faults: readonly F[]): Promise<Answer>
  measure(...faults: readonly F[]): Promise<MeasuredAnswer>
}

export async function refusalTable<O extends Opening, F extends Fault<O>>(
  title: string,
  { lacks }: Pick<Wire<O>, 'lacks'>,
  faults: readonly F[],
  bench: Bench<F>,
): Promise<string> {
  const lines: string[] = [title]
  const refused: (readonly [F, string])[] = []
  const good = await bench.measure()
  const usable = faults.filter(({ change = {} }) =>
    Object.keys(change).every((field) => !lacks.includes(field as keyof O)),
  )
  lines.push(row('(nothing)', good))
  for (const fault of usable) {
    const answer = await bench.measure(fault)
    if (
      answer.summary === good.summary &&
      answer.audit === good.audit &&
      answer.connection === good.connection
    )
      continue
    lines.push(row(fault.name, answer))
    if (answer.text !== good.text) refused.push([fault, answer.text])
  }
  lines.push(`  order: ${await orderOf(bench, refused)}`, '')
  return lines.join('\n')
}

const row = (name: string, { summary, connection, body, audit, count }: MeasuredAnswer): string =>
  `  ${column(name, 22)}${column(summary.slice(0, 44), 46)}${column(connection, 8)}${column(body, 8)}${column(audit, 56)}${count}`.trimEnd()

const column = (text: string, width: number): string => text.padEnd(width)

/** The faults in the order in which they are answered. */
async function orderOf<F extends AnyFault>(
  bench: Bench<F>,
  faults: readonly (readonly [F, string])[],
): Promise<string> {
  const odd: string[] = []
  const beaten = new Set<string>()
  for (const [at, [a, answerA]] of faults.entries())
    for (const [b, answerB] of faults.slice(at + 1)) {
      if (!areTogether(a, b) || answerA === answerB) continue
      const { text: summary } = await bench.ask(a, b)
      if (summary !== answerA && summary !== answerB) odd.push(`${a.name} and ${b.name}: ${summary}`)
      beaten.add(summary === answerA ? `${a.name}<${b.name}` : `${b.name}<${a.name}`)
    }
  const pairs = [...beaten].map((pair) => pair.split('<') as [string, string])
  const order: string[][] = []
  let left = faults.map(([{ name }]) => name)
  while (left.length > 0) {
    const first = left.filter((name) => !pairs.some(([a, b]) => b === name && left.includes(a)))
    if (first.length === 0) {
      odd.push(`no order: ${left.join(', ')}`)
      break
    }
    order.push(first)
    left = left.filter((name) => !first.includes(name))
  }
  return [order.map((names) => names.join(' = ')).join(', '), ...odd].join('\n  ')
}

interface AnyFault {
  readonly name: string
  readonly change?: object
}

/** Whether a client can have both faults. */
const areTogether = (a: AnyFault, b: AnyFault): boolean =>
  Object.keys(a.change ?? {}).every((field) => !(field in (b.change ?? {})))
