// The worker of the lab. It runs the cluster, so that the page never waits for it.

import './node/buffer.ts'
import { LabAnswers, loadRuleFor } from './lab-answers.ts'
import type { LabAnswer, LabRequest } from './worker-messages.ts'

/** How long it prepares jumps before it looks for the next request. */
const SLICE_MS = 8

const answering = new LabAnswers(() => performance.now())
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
  page.postMessage(answering.answer(request))
  prepareSoon()
}

/** Works between requests. */
function prepareSoon(): void {
  if (isPreparing) return
  isPreparing = true
  setTimeout(() => {
    isPreparing = false
    const until = performance.now() + SLICE_MS
    if (answering.lab.prepare(() => performance.now() > until)) prepareSoon()
  })
}
