// The worker of the lab. It runs the cluster, so that the page never waits for it.

import './node/buffer.ts'
import { LabAnswers, loadRuleFor } from './lab-answers.ts'
import type { LabAnswer, LabRequest } from './worker-messages.ts'

/** How long it prepares jumps before it looks for the next request. */
const SLICE_MS = 8
/** Silence of the page after which a run that is slower than wanted leaves the worker to these preparations. */
const SILENT_MS = 100

const answering = new LabAnswers(() => performance.now())
let preparing: ReturnType<typeof setTimeout> | undefined

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
  prepareAfter(answering.isBehind ? SILENT_MS : 0)
}

/** Works between requests. */
function prepareAfter(ms: number): void {
  clearTimeout(preparing)
  preparing = setTimeout(() => {
    const until = performance.now() + SLICE_MS
    if (answering.lab.prepare(() => performance.now() > until)) prepareAfter(0)
  }, ms)
}
