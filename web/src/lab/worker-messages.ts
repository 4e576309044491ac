// Requests of the page to its worker, which runs the cluster. Each has one answer, in the same order.

import type { ViewPart } from '../../../jepsen-lite/lab/fold-views.ts'
import type { Lesson, PredictStep } from '../../../jepsen-lite/lab/lessons/lesson.ts'
import type { ViewChange } from './view-changes.ts'

export type LabRequest = RequestKind & {
  /** Parts that the view of the answer has in addition. */
  readonly parts?: readonly ViewPart[]
}

type RequestKind =
  /** Begins the run of this schedule, at its beginning. */
  | { readonly kind: 'open'; readonly link: string }
  /** Runs to this moment, or goes back to it. */
  | {
      readonly kind: 'run'
      readonly ms: number
      /** It stops before that moment when it has run for so long, in real milliseconds. */
      readonly realMsMax?: number
    }
  /** Runs until something happens that can be seen. */
  | { readonly kind: 'step' }
  /** Runs to the next note that is not minor, or a while if there is none. */
  | { readonly kind: 'skip' }
  /** Adds these lines of the schedule at the present moment: `put,client=0,node=leader,key=0,x=41`. */
  | { readonly kind: 'add'; readonly lines: readonly string[] }
  /** Runs the schedule up to now with all checks, as `jepsen-lite replay` does. */
  | { readonly kind: 'check' }
  /** Reads the file of a run, for a request that opens it. */
  | { readonly kind: 'read'; readonly text: string }
  /** Writes the run as a file. */
  | { readonly kind: 'save' }
  /** Reads the file of a lesson. */
  | { readonly kind: 'lesson'; readonly text: string }
  /** Finds by its run which choices of a question are right. */
  | { readonly kind: 'judge'; readonly question: PredictStep }

export type LabAnswer =
  | {
      readonly kind: 'view'
      /** The difference between the view of the answer before, and that of this one. */
      readonly change: ViewChange
      /** The latest moment to which this schedule has run, in virtual milliseconds. */
      readonly end: number
      /** The schedule, as in the fragment of the URL. */
      readonly link: string
    }
  | {
      readonly kind: 'checked'
      /** Hash of all events. */
      readonly trace: string
      readonly violation: string | undefined
      /** The moment at which a person can begin to see how a rule is broken; undefined: none is. */
      readonly breaksAt: number | undefined
      /** The schedule that was run. */
      readonly link: string
    }
  /** A run, with its moment if its file has one, and the violation for which it was kept. */
  | { readonly kind: 'read'; readonly link: string; readonly detail: string | undefined }
  | { readonly kind: 'saved'; readonly text: string; readonly seed: number }
  | { readonly kind: 'lesson'; readonly lesson: Lesson | { readonly refusal: string } }
  | { readonly kind: 'judged'; readonly right: readonly number[] }
  | { readonly kind: 'refused'; readonly why: string }
