import streamlit

text = streamlit.text_input("text")
streamlit.write(f"said {text.upper()}")
