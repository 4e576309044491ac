// A stand-in for the console in tests of the server.
for (const name of ['overview', 'keys', 'live', 'coordination', 'operation', 'faults']) {
  const line = document.createElement('p')
  line.textContent = `This is not the page of ${name}: this is not the page of the console at all.`
  document.body.append(line)
}
