// To call a function of the application from what runs in the background.

/** What it throws is the application's fault: it is reported as an uncaught error, and ends nothing here. */
export function tell(act: () => void): void {
  try {
    act()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
