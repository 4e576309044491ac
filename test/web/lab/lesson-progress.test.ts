// How far the user is in each lesson, in the store of the browser.

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { loaderOfPage } from '../page-modules.ts'

interface LessonProgress {
  readonly progress: { readonly value: Readonly<Record<string, object>> }
  stepDone(name: string, step: number, isLast: boolean): void
}

let kept: Map<string, string>
const loadPage = (): Promise<LessonProgress> => loaderOfPage()('lab/lesson/lesson-progress.ts')

beforeEach(() => {
  kept = new Map()
  vi.stubGlobal('localStorage', {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, text: string) => void kept.set(name, text),
  })
})
afterEach(() => void vi.unstubAllGlobals())

it('a lesson is continued after the step that was done, and stays done however often it is begun again', async () => {
  let page = await loadPage()
  const expected = [
    [0, { step: 1, isDone: false }],
    [1, { step: 2, isDone: false }],
    [2, { step: 0, isDone: true }],
    [0, { step: 1, isDone: true }],
    [2, { step: 0, isDone: true }],
    [1, { step: 2, isDone: true }],
  ] as const
  page.stepDone('other', 0, false)
  for (const [step, lock] of expected) {
    page.stepDone('lock', step, step === 2)
    expect(page.progress.value).toEqual({ lock, other: { step: 1, isDone: false } })
    page = await loadPage()
    expect(page.progress.value).toEqual({ lock, other: { step: 1, isDone: false } })
  }
})

it('in two tabs at once keeps what both have done', async () => {
  const [one, other] = [await loadPage(), await loadPage()]
  one.stepDone('lock', 0, false)
  other.stepDone('watch', 2, true)
  one.stepDone('lock', 1, false)
  const { progress } = await loadPage()
  expect(progress.value).toEqual({
    lock: { step: 2, isDone: false },
    watch: { step: 0, isDone: true },
  })
})

it('is known until the page is closed where the browser keeps nothing', async () => {
  vi.stubGlobal('localStorage', {
    getItem: () => null,
    setItem: () => {
      throw new Error('full')
    },
  })
  const page = await loadPage()
  page.stepDone('lock', 0, false)
  expect(page.progress.value).toEqual({ lock: { step: 1, isDone: false } })
})

it.each(['', '{', '7', 'null', '{"lock":null}', '{"lock":{"step":-1.5,"isDone":"yes"}}', '[]'])(
  'the text %j in the store counts for nothing',
  async (text) => {
    kept.set('quorate.lessons', text)
    const { progress } = await loadPage()
    expect(Object.values(progress.value)).toEqual(text.includes('step') ? [{ step: 0, isDone: false }] : [])
  },
)
