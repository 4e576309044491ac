// A lesson as plain data: predict, then see, then break it yourself. docs/learn/writing-a-lesson.md describes its file.

import type { RunFact } from './facts.ts'

export interface Lesson {
  readonly title: string
  /** One sentence for the list of lessons. */
  readonly summary: string
  readonly minutes: number
  readonly steps: readonly LessonStep[]
}

export type LessonStep = SeeStep | PredictStep | BreakStep

/** Views of the page, apart from the stage. */
export const LESSON_VIEWS = ['logs', 'clients', 'store', 'diagram'] as const
export type LessonView = (typeof LESSON_VIEWS)[number]

interface RunOfStep {
  /** The run, as in the fragment of a URL. */
  readonly run: string
  /** It stands at this virtual time when the step begins. */
  readonly from: number
  /** It runs to this one. */
  readonly until: number
  /** Virtual time per real time; undefined: as the user chooses. */
  readonly speed: number | undefined
  /** Views that the step needs. */
  readonly show: readonly LessonView[]
  /** The section of the paper or the thesis. */
  readonly source: string | undefined
}

/** The run continues, and the text says what to look at. */
export interface SeeStep extends RunOfStep {
  readonly kind: 'see'
  readonly text: Paragraphs
}

/** A question about what the run will show. */
export interface PredictStep extends RunOfStep {
  readonly kind: 'predict'
  readonly question: Paragraphs
  readonly choices: readonly Choice[]
  /** Follows the reply. */
  readonly after: Paragraphs
}

export interface Choice {
  readonly text: string
  /** Facts that hold in the run if this choice is right. */
  readonly when: readonly RunFact[]
  /** Why it is right, or why the run took another way. */
  readonly reply: Paragraphs
}

/** The user brings about a goal. */
export interface BreakStep extends RunOfStep {
  readonly kind: 'break'
  readonly task: Paragraphs
  /** They hold together at some instant. */
  readonly goal: readonly Goal[]
  readonly hint: Paragraphs
  /** The run with the lines that reach the goal. */
  readonly solution: string
  readonly after: Paragraphs
}

export interface Goal {
  readonly fact: RunFact
  /** The fact in the words of the lesson; undefined: as it is written. */
  readonly text: string | undefined
}

/** Text with `code`, *emphasis* and [links](https://…). */
export type Paragraphs = readonly string[]
