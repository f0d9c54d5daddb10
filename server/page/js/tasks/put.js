// Uploads a delta's files as a task, telling how far it is, which `fetch` does not.

import { ApiError, headers, refusal, taskPath } from "../api.js";

export function put(name, files, onProgress) {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  const upload = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    upload.open("PUT", taskPath(name));
    for (const [header, value] of Object.entries(headers())) upload.setRequestHeader(header, value);
    upload.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    upload.onerror = () => reject(new ApiError("The upload broke off: is the server still there?", 0));
    upload.onload = () => {
      if (upload.status < 300) resolve({ task: JSON.parse(upload.responseText), isNew: upload.status === 201 });
      else reject(refusal(upload.status, upload.responseText));
    };
    upload.send(form);
  });
}
