// Files of runs: opened with a button or dropped on the page, and saved. They never leave this machine.

import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Button } from '../design/button.tsx'
import { client, picked } from './lab-state.ts'
import './run-files.css'

/** A schedule is a few kilobytes. */
const FILE_BYTES_MAX = 4 * 1024 * 1024

/** A file is held over the page. */
const isHeld = signal(false)

export function RunFiles() {
  const input = useRef<HTMLInputElement>(null)
  useEffect(followDrops, [])
  return (
    <>
      <Button
        kind="quiet"
        onClick={() => input.current?.click()}
        title="Opens a schedule of jepsen-lite, or a text with the address of a run"
      >
        Open a file
      </Button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label="File of a run"
        accept=".json,.txt,application/json,text/plain"
        onChange={({ currentTarget }) => {
          void openFile(currentTarget.files?.[0])
          // The same file may be chosen again.
          currentTarget.value = ''
        }}
      />
      <Button kind="quiet" onClick={() => client.save(saveFile)} title="A file for jepsen-lite replay">
        Save
      </Button>
      {isHeld.value && (
        <div class="drop" role="status">
          Drop the file to open its run
        </div>
      )}
    </>
  )
}

async function openFile(file: File | undefined): Promise<void> {
  if (file === undefined) return
  if (file.size > FILE_BYTES_MAX) {
    client.refusal.value = { of: 'file', why: `it has ${file.size} bytes, and 4 MiB are allowed` }
    return
  }
  try {
    const text = await file.text()
    picked.value = undefined
    client.openFile(text)
  } catch {
    client.refusal.value = { of: 'file', why: 'it is a folder, or is not there any more' }
  }
}

function saveFile(text: string, seed: number): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `quorate-run-${seed}.json`
  link.click()
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** Opens files that are dropped on the page, until the returned function is called. */
function followDrops(): () => void {
  const hold = (event: DragEvent): void => {
    if (event.dataTransfer?.types.includes('Files') !== true) return
    event.preventDefault()
    isHeld.value = true
  }
  const leave = (event: DragEvent): void => {
    // It has left the window, and not only an element.
    if (event.relatedTarget === null) isHeld.value = false
  }
  const drop = (event: DragEvent): void => {
    if (event.dataTransfer?.types.includes('Files') !== true) return
    event.preventDefault()
    isHeld.value = false
    void openFile(event.dataTransfer.files[0])
  }
  addEventListener('dragover', hold)
  addEventListener('dragleave', leave)
  addEventListener('drop', drop)
  return () => {
    removeEventListener('dragover', hold)
    removeEventListener('dragleave', leave)
    removeEventListener('drop', drop)
  }
}
