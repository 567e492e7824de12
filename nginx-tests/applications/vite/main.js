const [input, said] = document.querySelectorAll('input, p');

input.addEventListener('change', () => import.meta.hot.send('say', input.value));
import.meta.hot.on('said', (text) => { said.textContent = `said ${text}`; });
