// Text of a lesson: paragraphs with `code`, *emphasis* and [links](https://…). Anything else is shown as it is.

import type { Paragraphs } from '../../../../jepsen-lite/lab/lessons/lesson.ts'

const PART = /`([^`]+)`|\*(\w[^*]*)\*|\[([^\]]+)\]\((https:\/\/[^\s)]+|#[^\s)]+)\)/g

export function LessonText({ of }: { readonly of: Paragraphs }) {
  return of.map((text) => (
    <p key={text}>
      <LessonLine text={text} />
    </p>
  ))
}

export function LessonLine({ text }: { readonly text: string }) {
  const parts: preact.ComponentChild[] = []
  let end = 0
  for (const { 0: found, 1: code, 2: stressed, 3: words, 4: target = '', index } of text.matchAll(PART)) {
    parts.push(text.slice(end, index))
    end = index + found.length
    parts.push(
      code !== undefined ? (
        <code key={index}>{code}</code>
      ) : stressed !== undefined ? (
        <em key={index}>{stressed}</em>
      ) : (
        <a
          key={index}
          href={target}
          {...(target.startsWith('#') ? {} : { target: '_blank', rel: 'noreferrer' })}
        >
          {words}
        </a>
      ),
    )
  }
  return (
    <>
      {parts}
      {text.slice(end)}
    </>
  )
}
