// The worker of the lab. It runs the cluster, so that the page never waits for it.

import './node/buffer.ts'
import {
  finishedRun,
  formatLink,
  Lab,
  labSchedule,
  parseLink,
  parseNewLine,
} from '../../../jepsen-lite/lab/index.ts'
import type { LabAnswer, LabRequest } from './worker-messages.ts'

/** How long it prepares jumps before it looks for the next request. */
const SLICE_MS = 8

let lab = new Lab(labSchedule())
let isPreparing = false

/** The side of the page. */
interface PagePort {
  addEventListener(type: 'message', receive: (event: { readonly data: LabRequest }) => void): void
  postMessage(answer: LabAnswer): void
}

const page = globalThis as unknown as PagePort

page.addEventListener('message', ({ data }) => {
  page.postMessage(answerTo(data))
  prepareSoon()
})

function answerTo(request: LabRequest): LabAnswer {
  try {
    return answered(request)
  } catch (error) {
    return { kind: 'refused', why: error instanceof Error ? error.message : String(error) }
  }
}

function answered(request: LabRequest): LabAnswer {
  if (request.kind === 'check') {
    const { schedule, trace, violation } = finishedRun(lab)
    return { kind: 'checked', trace, violation, link: formatLink(schedule) }
  }
  if (request.kind === 'open') lab = new Lab(parseLink(request.link))
  else if (request.kind === 'run') lab.runTo(request.ms)
  else if (request.kind === 'step') lab.step()
  else for (const line of request.lines.map(parseNewLine)) lab.add(line)
  return { kind: 'view', view: lab.view(), end: lab.end, link: formatLink(lab.schedule) }
}

/** Works between requests. */
function prepareSoon(): void {
  if (isPreparing) return
  isPreparing = true
  setTimeout(() => {
    isPreparing = false
    const until = performance.now() + SLICE_MS
    if (lab.prepare(() => performance.now() > until)) prepareSoon()
  })
}
