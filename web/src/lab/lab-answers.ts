// Answers of the worker.

import {
  finishedRun,
  formatLink,
  formatRunFile,
  Lab,
  parseLink,
  parseNewLine,
  parseRunFile,
  refuseForeign,
  withMoment,
} from '../../../jepsen-lite/lab/index.ts'
import { judgeQuestion, parseLesson } from '../../../jepsen-lite/lab/lessons/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
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

interface Answered {
  /** The lab for the next request: another one if a run was opened. */
  readonly lab: Lab
  readonly answer: LabAnswer
}

export function answerRequest(lab: Lab, request: LabRequest): Answered {
  try {
    return carryOut(lab, request)
  } catch (error) {
    return { lab, answer: { kind: 'refused', why: error instanceof Error ? error.message : String(error) } }
  }
}

function carryOut(before: Lab, request: LabRequest): Answered {
  const lab = request.kind === 'open' ? new Lab(parseLink(request.link)) : before
  if (request.kind === 'check') {
    const { schedule, trace, violation, breaksAt } = finishedRun(lab)
    return { lab, answer: { kind: 'checked', trace, violation, breaksAt, link: formatLink(schedule) } }
  }
  if (request.kind === 'read') {
    const { schedule, at, detail } = parseRunFile(request.text)
    refuseForeign(schedule)
    return { lab, answer: { kind: 'read', link: withMoment(formatLink(schedule), at), detail } }
  }
  if (request.kind === 'save') {
    const { schedule, now } = lab
    return { lab, answer: { kind: 'saved', text: formatRunFile(schedule, now), seed: schedule.seed } }
  }
  if (request.kind === 'lesson') return { lab, answer: { kind: 'lesson', lesson: readLesson(request.text) } }
  if (request.kind === 'judge')
    return { lab, answer: { kind: 'judged', right: judgeQuestion(request.question).right } }
  if (request.kind === 'run') lab.runTo(request.ms)
  else if (request.kind === 'step') lab.step()
  else if (request.kind === 'skip') lab.skip()
  else if (request.kind === 'add') for (const line of request.lines.map(parseNewLine)) lab.add(line)
  const view = lab.view(request.parts)
  return { lab, answer: { kind: 'view', view, end: lab.end, link: formatLink(lab.schedule) } }
}

function readLesson(text: string): Extract<LabAnswer, { readonly kind: 'lesson' }>['lesson'] {
  try {
    return parseLesson(text)
  } catch (error) {
    return { refusal: error instanceof Error ? error.message : String(error) }
  }
}
