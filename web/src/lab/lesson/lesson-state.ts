// The lesson of the page, and how it is opened: from the list, by its address, from a file.

import { computed, signal } from '@preact/signals'
import type { LessonView } from '../../../../jepsen-lite/lab/lessons/lesson.ts'
import { client, isCalm, picked } from '../lab-state.ts'
import type { ListedLesson } from './bundled-lessons.ts'
import { LessonPlayer } from './lesson-player.ts'
import { stepDone } from './lesson-progress.ts'

export const player = new LessonPlayer(client, { isCalm, onDone: stepDone })

export const isListOpen = signal(false)
export const lessons = signal<readonly ListedLesson[] | undefined>(undefined)
/** Why a lesson could not be opened. */
export const lessonRefusal = signal<string | undefined>(undefined)

export const hasLesson = computed(() => player.open.value !== undefined)
/** Views that the step needs. */
export const shownViews = computed<readonly LessonView[]>(() => player.step.value?.show ?? [])

/** `undefined`: the list says why they are not there. */
async function loadLessons(): Promise<readonly ListedLesson[] | undefined> {
  try {
    lessons.value = (await import('./bundled-lessons.ts')).LESSONS
  } catch {
    lessonRefusal.value = 'the page may be older than its host. Load it again'
  }
  return lessons.value
}

export function openList(): void {
  lessonRefusal.value = undefined
  isListOpen.value = true
  void loadLessons()
}

/** The last step is done. */
export function endLesson(): void {
  player.close()
  openList()
}

export function openListed({ name, text }: ListedLesson, step: number): void {
  openText(name, text, step)
}

/** Opens the text of a lesson. `name` is in the address; a file of the user has none. */
export function openText(name: string | undefined, text: string, step = 0): void {
  client.readLesson(text, (lesson) => {
    if ('refusal' in lesson) {
      lessonRefusal.value = lesson.refusal
      isListOpen.value = true
      return
    }
    picked.value = undefined
    lessonRefusal.value = undefined
    isListOpen.value = false
    player.begin(name, lesson, step)
  })
}

/** Opens the lesson of an address, `lesson=NAME,step=N`. Returns whether it is one. */
export function openLessonAddress(fragment: string): boolean {
  const [, name, step = '1'] = /^lesson=([\w-]+)(?:,step=(\d+))?$/.exec(fragment) ?? []
  if (name === undefined) return false
  if (fragment === player.address.peek()) return true
  void openNamed(name, Number(step) - 1)
  return true
}

async function openNamed(name: string, step: number): Promise<void> {
  const { open } = player
  if (open.peek()?.name === name) return player.goTo(step)
  const all = await loadLessons()
  const listed = all?.find((one) => one.name === name)
  if (listed !== undefined) return openListed(listed, step)
  if (client.link.peek() === '') client.open('')
  if (all !== undefined) lessonRefusal.value = `there is no lesson ${name}`
  isListOpen.value = true
}
