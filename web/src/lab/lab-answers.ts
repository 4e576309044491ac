// Answers of the worker.

import {
  finishedRun,
  formatLink,
  formatRunFile,
  Lab,
  labSchedule,
  parseLink,
  parseNewLine,
  parseRunFile,
  refuseForeign,
  withMoment,
} from '../../../jepsen-lite/lab/index.ts'
import { judgeQuestion, parseLesson } from '../../../jepsen-lite/lab/lessons/index.ts'
import type { LabView } from '../../../jepsen-lite/lab/view.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
import { changeBetween } from './view-changes.ts'
import type { LabAnswer, LabRequest } from './worker-messages.ts'

/** Loads the core of a run that has a wrong rule, before the run is opened. */
export async function loadRuleFor(request: LabRequest): Promise<void> {
  const link = request.kind === 'open' ? request.link : request.kind === 'judge' ? request.question.run : ''
  if (link === '') return
  try {
    await loadRule(parseLink(link).rule)
  } catch {
    // The run cannot be opened, and its answer says why.
  }
}

/** It has the run, and knows the view that the page has. */
export class LabAnswers {
  readonly #now: () => number
  #lab = new Lab(labSchedule())
  #view: LabView | undefined
  #isBehind = false

  /** `now`: real milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  get lab(): Lab {
    return this.#lab
  }

  /** Whether the time for the newest frame was too short for what the page wants. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  answer(request: LabRequest): LabAnswer {
    try {
      return this.#carryOut(request)
    } catch (error) {
      return { kind: 'refused', why: error instanceof Error ? error.message : String(error) }
    }
  }

  #carryOut(request: LabRequest): LabAnswer {
    const lab = this.#lab
    switch (request.kind) {
      case 'check': {
        const { schedule, trace, violation, breaksAt } = finishedRun(lab)
        return { kind: 'checked', trace, violation, breaksAt, link: formatLink(schedule) }
      }
      case 'read': {
        const { schedule, at, detail } = parseRunFile(request.text)
        refuseForeign(schedule)
        return { kind: 'read', link: withMoment(formatLink(schedule), at), detail }
      }
      case 'save': {
        const { schedule, now } = lab
        return { kind: 'saved', text: formatRunFile(schedule, now), seed: schedule.seed }
      }
      case 'lesson':
        return { kind: 'lesson', lesson: readLesson(request.text) }
      case 'judge':
        return { kind: 'judged', right: judgeQuestion(request.question).right }
      case 'open':
        this.#lab = new Lab(parseLink(request.link))
        break
      case 'run': {
        const until = this.#now() + (request.realMsMax ?? Number.POSITIVE_INFINITY)
        lab.runTo(request.ms, () => this.#now() >= until)
        this.#isBehind = lab.now < request.ms
        break
      }
      case 'step':
        lab.step()
        break
      case 'skip':
        lab.skip()
        break
      case 'add':
        for (const line of request.lines.map(parseNewLine)) lab.add(line)
        break
    }
    return this.#viewAnswer(request.parts)
  }

  #viewAnswer(parts: LabRequest['parts']): LabAnswer {
    const { end, schedule } = this.#lab
    const view = this.#lab.view(parts)
    const change = changeBetween(this.#view, view)
    this.#view = view
    return { kind: 'view', change, end, link: formatLink(schedule) }
  }
}

function readLesson(text: string): Extract<LabAnswer, { readonly kind: 'lesson' }>['lesson'] {
  try {
    return parseLesson(text)
  } catch (error) {
    return { refusal: error instanceof Error ? error.message : String(error) }
  }
}
