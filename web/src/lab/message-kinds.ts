// Types of messages in the words of a person, and the shape that each has on the stage.

import type { MessageView } from '../../../jepsen-lite/lab/view.ts'

/** `election`: triangles; `log`: squares; `contact`: circles; `request`: diamonds. An answer is hollow. */
export type MessageShape = 'election' | 'log' | 'contact' | 'request'

interface MessageKind {
  readonly shape: MessageShape
  readonly isAnswer: boolean
  readonly text: string
}

const KINDS: Readonly<Record<string, MessageKind>> = {
  append: { shape: 'log', isAnswer: false, text: 'append' },
  'append-accepted': { shape: 'log', isAnswer: true, text: 'append accepted' },
  'append-rejected': { shape: 'log', isAnswer: true, text: 'append rejected' },
  heartbeat: { shape: 'contact', isAnswer: false, text: 'heartbeat' },
  'heartbeat-answer': { shape: 'contact', isAnswer: true, text: 'heartbeat answered' },
  'vote-request': { shape: 'election', isAnswer: false, text: 'request for a vote' },
  'pre-vote-request': { shape: 'election', isAnswer: false, text: 'would you vote for me?' },
  'vote-answer': { shape: 'election', isAnswer: true, text: 'vote' },
  'pre-vote-answer': { shape: 'election', isAnswer: true, text: 'I would' },
  'timeout-now': { shape: 'election', isAnswer: false, text: 'stand for election now' },
}

export const messageKind = (type: string): MessageKind =>
  KINDS[type] ?? { shape: 'request', isAnswer: /answer|refused/.test(type), text: type.replaceAll('-', ' ') }

/** `append, entry 4, from n1 to n2`. */
export function messageText({
  type,
  label,
  from,
  to,
}: Pick<MessageView, 'type' | 'label' | 'from' | 'to'>): string {
  const { text } = messageKind(type)
  const content =
    type === 'pre-vote-answer'
      ? [`would vote: ${label}`]
      : type === 'vote-answer'
        ? [`vote: ${label}`]
        : [text, label]
  return [...content.filter((part) => part !== ''), `from ${from} to ${to}`].join(', ')
}

const FATES: Readonly<Record<string, string>> = {
  lost: 'it will be lost',
  late: 'it will be late',
  doubled: 'it will arrive twice',
}

export const fateText = ({ fate }: MessageView): string | undefined =>
  fate === undefined ? undefined : FATES[fate]
