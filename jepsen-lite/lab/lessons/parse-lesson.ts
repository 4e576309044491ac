// Reads a lesson from its file. Teachers write these by hand, so an error names the step, the field, and what was
// expected there.

import { type Fields, isObject } from '../../../src/operations/forms/decode.ts'
import type { Schedule } from '../../sim/schedule/schedule.ts'
import { LAB_MS_MAX } from '../lab-schedule.ts'
import { formatLink, parseLink } from '../schedule-link.ts'
import { namesIn, parseFact, type RunFact } from './facts.ts'
import {
  type BreakStep,
  type Choice,
  type Goal,
  LESSON_VIEWS,
  type Lesson,
  type LessonStep,
  type LessonView,
  type Paragraphs,
  type PredictStep,
  type SeeStep,
} from './lesson.ts'

const LESSON_FIELDS = ['title', 'summary', 'minutes', 'run', 'steps']
const STEP_FIELDS = ['kind', 'run', 'from', 'until', 'speed', 'show', 'source']
const KINDS: Readonly<Record<string, readonly string[]>> = {
  see: ['text'],
  predict: ['question', 'choices', 'after'],
  break: ['task', 'goal', 'hint', 'solution', 'after'],
}

/** Throws `RangeError` for any other text. */
export function parseLesson(text: string): Lesson {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new RangeError(`no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  return readLesson(value)
}

/** Throws `RangeError` for a value that is no lesson. */
export function readLesson(value: unknown): Lesson {
  const lesson = new Place('the lesson', value)
  lesson.knowsOnly(LESSON_FIELDS)
  const steps: LessonStep[] = []
  let before: Before = { run: lesson.optional('run', asSchedule), at: 0 }
  for (const [at, step] of lesson.required('steps', asList).entries()) {
    const read = readStep(new Place(`step ${at + 1}`, step), before)
    before = { run: read.schedule, at: read.step.kind === 'break' ? read.step.from : read.step.until }
    steps.push(read.step)
  }
  if (steps.length === 0) lesson.fail('steps', 'expected at least one step')
  return {
    title: lesson.required('title', asText),
    summary: lesson.required('summary', asText),
    minutes: lesson.required('minutes', asNumber),
    steps,
  }
}

/** The run that a step continues, and the moment to which it has come. */
interface Before {
  readonly run: Schedule | undefined
  readonly at: number
}

function readStep(place: Place, before: Before): { readonly step: LessonStep; readonly schedule: Schedule } {
  const kind = place.required('kind', asText)
  const ownFields = KINDS[kind]
  if (ownFields === undefined) place.fail('kind', `expected see, predict or break, found ${kind}`)
  place.name += ` (${kind})`
  place.knowsOnly([...STEP_FIELDS, ...ownFields])
  const own = place.optional('run', asSchedule)
  const schedule = own ?? before.run
  if (schedule === undefined) place.fail('run', 'neither the lesson nor a step so far has a run')
  const from = place.optional('from', asNumber) ?? (own === undefined ? before.at : 0)
  const until = place.required('until', (value) => asMoment(value, from))
  if (until < from) place.fail('until', `${until} ms is before ${from} ms, where the step begins`)
  if (until > LAB_MS_MAX) place.fail('until', `a run of the lab ends at ${LAB_MS_MAX} ms`)
  const common = {
    ...{ run: formatLink(schedule), from, until },
    speed: place.optional('speed', asSpeed),
    show: place.optional('show', asViews) ?? [],
    source: place.optional('source', asText),
  }
  const context: StepContext = { place, schedule, from, until }
  if (kind === 'see') {
    const step: SeeStep = { kind, ...common, text: place.required('text', asParagraphs) }
    return { step, schedule }
  }
  if (kind === 'predict') return { step: { kind, ...common, ...readPredict(context) }, schedule }
  return { step: { kind: 'break', ...common, ...readBreak(context) }, schedule }
}

interface StepContext {
  readonly place: Place
  readonly schedule: Schedule
  readonly from: number
  readonly until: number
}

function readPredict(context: StepContext): Pick<PredictStep, 'question' | 'choices' | 'after'> {
  const { place } = context
  const all = place.required('choices', asList)
  if (all.length < 2) place.fail('choices', 'expected two choices or more')
  const choices = all.map((value, at): Choice => {
    const choice = new Place(`${place.name}, choice ${at + 1}`, value)
    choice.knowsOnly(['text', 'when', 'reply'])
    return {
      text: choice.required('text', asText),
      when: readFacts({ ...context, place: choice }, 'when'),
      reply: choice.required('reply', asParagraphs),
    }
  })
  return {
    question: place.required('question', asParagraphs),
    choices,
    after: place.optional('after', asParagraphs) ?? [],
  }
}

function readBreak(
  context: StepContext,
): Pick<BreakStep, 'run' | 'task' | 'goal' | 'hint' | 'solution' | 'after'> {
  const { place, schedule, from } = context
  const goal = readGoal(context)
  const { ops, faults } = place.required('solution', asLines)
  const early = [...ops, ...faults].find(({ at }) => at <= from)
  if (early !== undefined)
    place.fail('solution', `the line at ${early.at} ms is not after ${from} ms, where the step begins`)
  const begun = {
    ...schedule,
    ops: schedule.ops.filter(({ at }) => at <= from),
    faults: schedule.faults.filter(({ at }) => at <= from),
  }
  return {
    run: formatLink(begun),
    task: place.required('task', asParagraphs),
    goal,
    hint: place.optional('hint', asParagraphs) ?? [],
    solution: formatLink({ ...begun, ops: [...begun.ops, ...ops], faults: [...begun.faults, ...faults] }),
    after: place.required('after', asParagraphs),
  }
}

/** Facts, or facts with a text each. */
function readGoal(context: StepContext): readonly Goal[] {
  const { place } = context
  const all = place.required('goal', asList)
  if (all.length === 0) place.fail('goal', 'expected at least one fact')
  return all.map((value): Goal => {
    const part = isObject(value) ? new Place(`${place.name}, goal`, value) : undefined
    part?.knowsOnly(['text', 'fact'])
    const fact = readFact(context, 'goal', part === undefined ? value : part.required('fact', asText))
    if (fact.at !== 'end')
      place.fail('goal', `its facts hold together at some instant, so they have no time: ${shown(fact.text)}`)
    return { fact, text: part?.required('text', asText) }
  })
}

function readFacts(context: StepContext, field: string): readonly RunFact[] {
  const texts = context.place.required(field, asList)
  if (texts.length === 0) context.place.fail(field, 'expected at least one fact')
  return texts.map((text) => readFact(context, field, text))
}

function readFact({ place, schedule, from, until }: StepContext, field: string, text: unknown): RunFact {
  const { nodes, spares, clients } = schedule.config
  const fact = place.within(field, () => parseFact(asText(text)))
  for (const name of namesIn(fact)) {
    const number = Number(name.slice(1))
    if (name.startsWith('w')) {
      // In a task the user may begin a watch.
      const watches = schedule.ops.filter(({ kind }) => kind === 'watch').length
      if (field === 'when' && (number < 1 || number > watches))
        place.fail(field, `there is no ${name} in this run: it begins ${watches} watches`)
      continue
    }
    const isNode = name.startsWith('n')
    const most = isNode ? nodes + spares : clients
    if (number < 1 || number > most)
      place.fail(
        field,
        `there is no ${name} in this run: it has ${isNode ? 'nodes n1' : 'clients c1'} to ${name[0]}${most}`,
      )
  }
  if (typeof fact.at === 'number' && (fact.at < from || fact.at > until))
    place.fail(field, `${fact.at} ms is outside of the step, which lasts from ${from} to ${until} ms`)
  return fact
}

// ---------------------------------------------------------------------------------------------------------------------
// Values

/** A part of a file with its name. */
class Place {
  name: string
  readonly #fields: Fields

  constructor(name: string, value: unknown) {
    this.name = name
    if (!isObject(value)) throw new RangeError(`${name}: expected an object, found ${shown(value)}`)
    this.#fields = value
  }

  knowsOnly(names: readonly string[]): void {
    for (const name of Object.keys(this.#fields))
      if (!names.includes(name)) this.fail(name, `there is no such field; there are ${names.join(', ')}`)
  }

  required<T>(field: string, read: (value: unknown) => T): T {
    if (this.#fields[field] === undefined) this.fail(field, 'it is missing')
    return this.within(field, () => read(this.#fields[field]))
  }

  optional<T>(field: string, read: (value: unknown) => T): T | undefined {
    return this.#fields[field] === undefined ? undefined : this.required(field, read)
  }

  within<T>(field: string, read: () => T): T {
    try {
      return read()
    } catch (error) {
      if (error instanceof RangeError) this.fail(field, error.message)
      throw error
    }
  }

  fail(field: string, why: string): never {
    throw new RangeError(`${this.name}: ${field}: ${why}`)
  }
}

const shown = (value: unknown): string => JSON.stringify(value) ?? 'nothing'

function asText(value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '') return value
  throw new RangeError(`expected a text, found ${shown(value)}`)
}

function asNumber(value: unknown): number {
  if (typeof value === 'number' && value >= 0) return value
  throw new RangeError(`expected a number, found ${shown(value)}`)
}

/** At speed 0 a step would have no end. */
function asSpeed(value: unknown): number {
  const speed = asNumber(value)
  if (speed > 0) return speed
  throw new RangeError('expected a number above 0')
}

function asList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new RangeError(`expected a list, found ${shown(value)}`)
}

/** One paragraph, or a list of them. */
const asParagraphs = (value: unknown): Paragraphs => (Array.isArray(value) ? value : [value]).map(asText)

/** A virtual time, or `+MS` after the beginning of the step. */
function asMoment(value: unknown, from: number): number {
  const relative = typeof value === 'string' ? /^\+(\d+)$/.exec(value)?.[1] : undefined
  if (relative !== undefined) return from + Number(relative)
  if (typeof value === 'number' && value >= 0) return value
  throw new RangeError(
    `expected milliseconds, such as 2500, or "+500" after the beginning, found ${shown(value)}`,
  )
}

function asViews(value: unknown): readonly LessonView[] {
  return asList(value).map((name) => {
    const view = LESSON_VIEWS.find((one) => one === name)
    if (view === undefined)
      throw new RangeError(`expected some of ${LESSON_VIEWS.join(', ')}, found ${shown(name)}`)
    return view
  })
}

/** The address of a run, or only its fragment, in one text or in a list of its parts. */
function asSchedule(value: unknown): Schedule {
  const text = Array.isArray(value) ? value.map(asText).join(';') : asText(value)
  return parseLink(text.slice(text.indexOf('#') + 1))
}

const asLines = (value: unknown): Schedule =>
  parseLink(`;${Array.isArray(value) ? value.map(asText).join(';') : asText(value)}`)
