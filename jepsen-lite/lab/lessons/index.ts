// The exports of lessons (docs/learn/writing-a-lesson.md). A page imports facts.ts and lesson.ts alone.

export { type JudgedLesson, type JudgedQuestion, judgeLesson, judgeQuestion } from './judge.ts'
export type { Lesson } from './lesson.ts'
export { parseLesson, readLesson } from './parse-lesson.ts'
export { SUBJECTS } from './vocabulary.ts'
