// Judges a lesson by its runs: which choice of each question is right, and whether each task can be done. Nobody writes
// down the answers, so they cannot be wrong.

import { finishedRun } from '../finished-run.ts'
import { LabRun } from '../lab-run.ts'
import { formatLink, parseLink } from '../schedule-link.ts'
import type { LabView } from '../view.ts'
import { holdsIn, type RunFact } from './facts.ts'
import type { BreakStep, Lesson, LessonStep, PredictStep } from './lesson.ts'

export interface JudgedLesson {
  /** One for each step. */
  readonly steps: readonly JudgedStep[]
  readonly runs: readonly JudgedRun[]
  /** Faults of the lesson, each with its step. */
  readonly problems: readonly string[]
}

export type JudgedStep =
  | { readonly kind: 'see' }
  | { readonly kind: 'predict'; readonly judged: JudgedQuestion }
  | { readonly kind: 'break'; readonly judged: JudgedTask }

export interface JudgedQuestion {
  /** For each choice: whether each of its facts holds. */
  readonly choices: readonly (readonly boolean[])[]
  /** The choices whose facts all hold: one, if the question is good. */
  readonly right: readonly number[]
}

export interface JudgedTask {
  /** Virtual time at which the solution reaches the goal. */
  readonly reachedAt: number | undefined
  /** Virtual time at which the goal holds without it: the task is none. */
  readonly reachedAloneAt: number | undefined
}

/** A run of the lesson with all checks. */
interface JudgedRun {
  /** The schedule that was run: `jepsen-lite replay` of it prints the same hash. */
  readonly link: string
  /** Hash of all events. */
  readonly trace: string
  readonly violation: string | undefined
}

/** Runs of steps. Most steps begin where the one before ended. */
class RunsOfSteps {
  #link: string | undefined
  #run: LabRun | undefined

  /** This run, at this moment. */
  at(link: string, ms: number): LabRun {
    if (this.#run === undefined || this.#link !== link || this.#run.now > ms)
      this.#run = new LabRun(parseLink(link))
    this.#link = link
    this.#run.runTo(ms)
    return this.#run
  }
}

export function judgeLesson({ steps }: Lesson): JudgedLesson {
  const stepRuns = new RunsOfSteps()
  const judged = steps.map((step): JudgedStep => {
    if (step.kind === 'predict') return { kind: 'predict', judged: judgeQuestion(step, stepRuns) }
    if (step.kind === 'break') return { kind: 'break', judged: judgeTask(step, stepRuns) }
    return { kind: 'see' }
  })
  const byRun = Map.groupBy(steps, runOfStep)
  const runs = [...byRun].map(([link, all]) => judgeRun(link, Math.max(...all.map(({ until }) => until))))
  const violations = [...byRun.values()].flatMap((all, at) => {
    const { link = '', violation } = runs[at] ?? {}
    return violation === undefined || all.some(isAboutViolation) ? [] : [`${link}: ${violation}`]
  })
  return {
    steps: judged,
    runs,
    problems: [
      ...judged.flatMap((step, at) => problemsOf(step).map((problem) => `step ${at + 1}: ${problem}`)),
      ...violations,
    ],
  }
}

const runOfStep = (step: LessonStep): string => (step.kind === 'break' ? step.solution : step.run)

function judgeRun(link: string, now: number): JudgedRun {
  const { schedule, trace, violation } = finishedRun({ schedule: parseLink(link), now })
  return { link: formatLink(schedule), trace, violation }
}

/** Whether the step says that its run breaks a rule: by a wrong rule, or by a fact. */
function isAboutViolation(step: LessonStep): boolean {
  const facts =
    step.kind === 'see'
      ? []
      : step.kind === 'break'
        ? step.goal.map(({ fact }) => fact)
        : step.choices.flatMap(({ when }) => when)
  return (
    parseLink(runOfStep(step)).rule !== undefined ||
    facts.some(({ comparisons }) => comparisons.some(({ left }) => VIOLATION.includes(left.form)))
  )
}

/** Subjects of facts about a broken rule. */
const VIOLATION: readonly string[] = ['violation', 'verdict']

function problemsOf(step: JudgedStep): readonly string[] {
  if (step.kind === 'see') return []
  if (step.kind === 'predict') {
    const { right } = step.judged
    if (right.length === 1) return []
    return [
      right.length === 0
        ? 'no choice is right'
        : `choices ${right.map((at) => at + 1).join(' and ')} are right`,
    ]
  }
  const { reachedAt, reachedAloneAt } = step.judged
  return [
    ...(reachedAt === undefined ? ['its solution does not reach the goal'] : []),
    ...(reachedAloneAt === undefined ? [] : [`its goal holds at ${reachedAloneAt} ms without the solution`]),
  ]
}

/** The choice whose facts hold in the run of the step. */
export function judgeQuestion(step: PredictStep, runs = new RunsOfSteps()): JudgedQuestion {
  const { choices } = step
  const holding = holdingFacts(step, runs)
  const held = choices.map(({ when }) => when.map((fact) => holding.has(fact)))
  return {
    choices: held,
    right: held.flatMap((each, at) => (each.every((holds) => holds) ? [at] : [])),
  }
}

function holdingFacts({ run, from, until, choices }: PredictStep, runs: RunsOfSteps): ReadonlySet<RunFact> {
  const facts = choices.flatMap(({ when }) => when)
  const lab = runs.at(run, from)
  const seen = new Set<RunFact>()
  const isAnywhere = ({ at }: RunFact): boolean => at === 'ever' || at === 'never'
  const anywhere = facts.filter(isAnywhere)
  const look = (view: LabView): boolean => {
    for (const fact of anywhere) if (!seen.has(fact) && holdsIn(fact, view)) seen.add(fact)
    return false
  }
  const timeOf = ({ at }: RunFact): number => (typeof at === 'number' ? at : until)
  for (const moment of [...new Set([...facts.map(timeOf), until])].toSorted((a, b) => a - b)) {
    if (anywhere.length > 0) eachInstant(lab, moment, look)
    else lab.runTo(moment)
    const view = lab.view()
    for (const fact of facts)
      if (!isAnywhere(fact) && timeOf(fact) === moment && holdsIn(fact, view)) seen.add(fact)
  }
  return new Set(facts.filter((fact) => seen.has(fact) === (fact.at !== 'never')))
}

/** Runs until then, and shows each instant at which something can be seen, until `isEnough`. */
function eachInstant(lab: LabRun, until: number, isEnough: (view: LabView) => boolean): void {
  while (!isEnough(lab.view()) && lab.now < until && !lab.isOver) lab.step(until)
}

function judgeTask({ run, solution, from, until, goal }: BreakStep, runs: RunsOfSteps): JudgedTask {
  const reached = (link: string): number | undefined => {
    const lab = runs.at(link, from)
    let at: number | undefined
    eachInstant(lab, until, (view) => {
      if (!goal.every(({ fact }) => holdsIn(fact, view))) return false
      at = view.now
      return true
    })
    return at
  }
  return { reachedAt: reached(solution), reachedAloneAt: reached(run) }
}
