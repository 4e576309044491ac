import { CopyButton } from './copy-button.tsx'
import './command.css'

/** A command for the terminal, with a button that copies it. It may have several lines. */
export function Command({ text }: { readonly text: string }) {
  return (
    <div class="command">
      <code>{text}</code>
      <CopyButton text={text} what="the command" />
    </div>
  )
}
