interface HostPort {
  readonly host: string
  readonly port: number
}

/** Reads `host:port`; the host is a name or an IPv4 address, which is all the DHT speaks. Else `undefined`. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?):(\d{1,5})$/i.exec(text)
  const host = match?.[1]
  const port = Number(match?.[2])
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined
}
