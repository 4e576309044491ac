import type { LessonView } from '../../../../jepsen-lite/lab/lessons/lesson.ts'

const VIEWS: readonly LessonView[] = ['logs', 'clients', 'store', 'diagram']

/** All views below the stage: first those that the step shows, in its order. */
export const viewOrder = (shown: readonly LessonView[]): readonly LessonView[] => [
  ...new Set([...shown, ...VIEWS]),
]
