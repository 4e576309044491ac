// The worker of the lab. It runs the cluster, so that the page never waits for it.

import './node/buffer.ts'
import { Lab, labSchedule } from '../../../jepsen-lite/lab/index.ts'
import { answerRequest, loadRuleFor } from './lab-answers.ts'
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

/** The answers so far. A request waits for those before it, because one may load a core with a wrong rule. */
let answers = Promise.resolve()
page.addEventListener('message', ({ data }) => {
  answers = answers.then(() => answer(data))
})

async function answer(request: LabRequest): Promise<void> {
  await loadRuleFor(request)
  const answered = answerRequest(lab, request)
  lab = answered.lab
  page.postMessage(answered.answer)
  prepareSoon()
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
