import type { DownloadOptions } from "../checkpoint/fetch.ts";

/**
 * `fetch` through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name, which Node's own does not ask by itself. It
 * leaves waiting to the caller's timeout, and asks for bytes as they are, since the parts of a packed file do not fit together.
 */
export const webFetch: NonNullable<DownloadOptions["fetch"]> = async (address, { signal, headers }) => {
  const { EnvHttpProxyAgent, fetch } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent({
    ...{ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 0 } },
    // Many proxies refuse tunnels to anything but https.
    proxyTunnel: false,
  });
  return await fetch(address, { signal, headers: { ...headers, "accept-encoding": "identity" }, dispatcher });
};
