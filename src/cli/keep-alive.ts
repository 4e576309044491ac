/** Keeps the process alive until `end` settles: the keep-alives of a lease do not. */
export async function keepProcessAlive<T>(end: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 2 ** 30)
  try {
    return await end
  } finally {
    clearInterval(timer)
  }
}
